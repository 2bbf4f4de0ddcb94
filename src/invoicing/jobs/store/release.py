"""From the backlog to the runway and back: which jobs are next, and which got lost on the way."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.jobs.store.channels import BACKLOG
from invoicing.kit.db import Session

_RELEASE = text("""
WITH room AS (
    SELECT * FROM unnest(CAST(:priorities AS text[]), CAST(:sizes AS text[]), CAST(:most AS int[]))
    AS r(priority, size, most)
), next AS (
    SELECT waiting.id FROM room CROSS JOIN LATERAL (
        SELECT id FROM jobs
        WHERE priority = room.priority AND size = room.size AND state IN ('queued', 'retrying')
          AND released_at IS NULL AND due_at <= now()
        ORDER BY order_at, id LIMIT room.most FOR UPDATE SKIP LOCKED
    ) AS waiting
)
UPDATE jobs SET released_at = now() WHERE id = ANY(ARRAY(SELECT id FROM next))
RETURNING id, attempt + 1 AS attempt, priority, size, order_at
""")

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('invoicing.release'))")

_RUNWAYS = text("""
SELECT priority, size, count(*) AS released FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL GROUP BY priority, size
""")

_WAITING = text("""
SELECT priority, size, count(*) AS waiting, min(submitted_at) AS oldest FROM jobs
WHERE state IN ('queued', 'retrying') AND due_at <= now() GROUP BY priority, size
""")

_NEXT_DUE = text("""
SELECT extract(epoch FROM min(due_at) - now()) FROM jobs
WHERE state = 'retrying' AND due_at > now()
""")

_RUNNING = text("SELECT priority, size, count(*) AS running FROM jobs WHERE state = 'running' GROUP BY priority, size")

_UNCLAIMED = text("""
SELECT id, attempt + 1 AS attempt, priority, size FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at < now() - CAST(:older_than AS interval)
ORDER BY released_at LIMIT 1000
""")

_WITHDRAW = text("""
UPDATE jobs SET released_at = NULL
WHERE priority = :priority AND size = :size AND state IN ('queued', 'retrying') AND released_at IS NOT NULL RETURNING id
""")

_WAKE = text(f"SELECT pg_notify('{BACKLOG}', '')")

Lane = tuple[Priority, Size]
Ticket = tuple[UUID, int]
"""What travels through Redis: a job and the attempt it is released for."""


async def one_at_a_time(session: Session) -> None:
    """Let nobody else decide what is released until this transaction ends: a pause that is committed holds at once."""
    await session.execute(_ONE_AT_A_TIME)


async def release(session: Session, room: Mapping[Lane, int]) -> dict[Lane, list[Ticket]]:
    """Move the next waiting jobs from the backlog to the runways, in order, as many of each lane as it has room for.

    Jobs that are due later stay.
    """
    wanted = {"priorities": [lane[0] for lane in room], "sizes": [lane[1] for lane in room], "most": [*room.values()]}
    released: dict[Lane, list[Ticket]] = {}
    for row in sorted(await session.execute(_RELEASE, wanted), key=lambda row: (row.order_at, row.id)):
        released.setdefault((Priority(row.priority), Size(row.size)), []).append((row.id, row.attempt))
    return released


async def runways(session: Session) -> dict[Lane, int]:
    """Count, per lane, the jobs released and not yet claimed."""
    rows = await session.execute(_RUNWAYS)
    return {(Priority(row.priority), Size(row.size)): row.released for row in rows}


async def waiting(session: Session) -> dict[Lane, tuple[int, datetime]]:
    """Count, per lane, the jobs that could run now, with the submission time of the oldest."""
    rows = await session.execute(_WAITING)
    return {(Priority(row.priority), Size(row.size)): (row.waiting, row.oldest) for row in rows}


async def running(session: Session) -> dict[Lane, int]:
    """Count, per lane, the running jobs."""
    rows = await session.execute(_RUNNING)
    return {(Priority(row.priority), Size(row.size)): row.running for row in rows}


async def next_due_in(session: Session) -> float | None:
    """Tell in how many seconds the next job of the backlog becomes due."""
    seconds = await session.scalar(_NEXT_DUE)
    return None if seconds is None else float(seconds)


async def unclaimed(session: Session, older_than: timedelta) -> list[tuple[UUID, int, Lane]]:
    """List jobs that were released a while ago and that no worker has claimed: perhaps lost from Redis."""
    rows = await session.execute(_UNCLAIMED, {"older_than": older_than})
    return [(row.id, row.attempt, (Priority(row.priority), Size(row.size))) for row in rows]


async def withdraw(session: Session, lane: Lane) -> list[UUID]:
    """Take the jobs of a lane back from the runway; a worker that still finds one in Redis cannot claim it."""
    rows = await session.execute(_WITHDRAW, {"priority": lane[0], "size": lane[1]})
    return list(rows.scalars())


async def wake_dispatcher(session: Session) -> None:
    """Have the dispatcher look again once this commits."""
    await session.execute(_WAKE)
