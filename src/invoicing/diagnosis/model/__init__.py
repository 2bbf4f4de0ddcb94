"""The rules of diagnosis, pure over a frozen snapshot of facts: facts, durations, causes, ETA."""
