"""Statements about jobs, a file for each verb; every write names the state it expects and leaves a timeline row."""
