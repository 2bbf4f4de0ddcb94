"""Statements of incidents."""
