"""Channels of ops over HTTP, and the ways by which an acknowledgement comes back."""
