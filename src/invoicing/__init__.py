"""The service: it takes requests, keeps the truth about jobs and tells it."""
