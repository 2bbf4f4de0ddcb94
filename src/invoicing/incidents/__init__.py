"""Incidents: one cause that touches many jobs, from its first proof until they have moved on."""
