"""Incidents over HTTP, for our staff."""
