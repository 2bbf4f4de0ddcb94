"""The truth about jobs: states, attempts, timeline, idempotency, payloads, artifacts, promises."""
