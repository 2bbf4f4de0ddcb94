"""Who is on call when: shifts, overrides, escalation, and the hours that nobody covers."""
