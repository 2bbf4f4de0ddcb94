"""PostgreSQL notifications: sent with the commit that makes them true, so nobody wakes up too early or for nothing."""

BACKLOG = "invoicing_backlog"
"""The backlog changed or room was made: the dispatcher has something to decide.

The payload names the queues that changed, `customer:key:priority:size` with commas between (behind another colon what
their jobs need from outside), each with a `+` before it where jobs were only added behind; `-` means that nothing new
waits but there may be room; nothing: look everywhere.
"""

JOBS = "invoicing_jobs"
"""Jobs changed; the payload names them (comma-separated ids) or is `*` when they are too many to name."""

CONTROL = "invoicing_control"
"""A running job must stop: `job_id:reason`; the worker that has it listens."""

DEPENDENCIES = "invoicing_dependencies"
"""A breaker opened or closed: the dispatcher holds other jobs back from now on."""

OUTGROWN = "invoicing_outgrown"
"""A running job turned out larger than its class; the payload is its id. Whoever learns learns from it now."""

TOLD_JOBS = f"""
    SELECT pg_notify('{JOBS}', CASE WHEN count(*) <= 200 THEN string_agg(id::text, ',') ELSE '*' END) FROM changed
    HAVING count(*) > 0
"""
"""Tells who follows the jobs of a CTE named `changed` (200 ids of 36 characters stay under 8,000 bytes)."""


def told_backlog(changed: str, waits: str, mark: str = "") -> str:
    """Write the CTE that tells the dispatcher about the rows of another; `waits` is true of those back in a queue.

    `mark` is the `+` of rows that only come behind. A payload has to stay under 8,000 bytes: some 80 queues.
    """
    name = "concat_ws(':', customer_id, key_id, priority, size, nullif(needs, ''))"
    return f"""
    SELECT pg_notify('{BACKLOG}', CASE WHEN length(named) <= 7000 THEN named ELSE '' END) FROM (
        SELECT coalesce(string_agg(DISTINCT '{mark}' || {name}, ',') FILTER (WHERE {waits}), '-') AS named
        FROM {changed} HAVING count(*) > 0
    ) AS backlog
    """


ROOM = f"SELECT pg_notify('{BACKLOG}', '-') FROM changed LIMIT 1"
"""Tells the dispatcher that the rows of a CTE named `changed` made room, or use it otherwise."""
