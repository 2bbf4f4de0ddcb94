"""Lanes, workers, the scheduling policy and the acts of our staff over HTTP."""
