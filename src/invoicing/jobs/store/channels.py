"""PostgreSQL notifications: sent with the commit that makes them true, so nobody wakes up too early or for nothing."""

BACKLOG = "invoicing_backlog"
"""The backlog grew or the runway shrank: the dispatcher has something to decide."""

JOBS = "invoicing_jobs"
"""Jobs changed; the payload names them (comma-separated ids) or is `*` when they are too many to name."""

CONTROL = "invoicing_control"
"""A running job must stop: `job_id:reason`; the worker that has it listens."""

TOLD_JOBS = f"""
    SELECT pg_notify('{JOBS}', CASE WHEN count(*) <= 200 THEN string_agg(id::text, ',') ELSE '*' END) FROM changed
    HAVING count(*) > 0
"""
"""Tells who follows the jobs of a CTE named `changed` (200 ids of 36 characters stay under 8,000 bytes)."""
