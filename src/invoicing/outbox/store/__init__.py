"""Statements of the outbox, by what they are for."""
