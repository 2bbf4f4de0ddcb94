"""From the backlog to the runway and back, and which jobs got lost on the way."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.jobs.model.backlog import Ticket
from invoicing.jobs.store.channels import BACKLOG, CONTROL, told_backlog
from invoicing.kit.db import Session

_LOCK = "pg_advisory_xact_lock(hashtext('invoicing.release'))"

# Losing the last releases when PostgreSQL crashes harms nobody, so no round waits for the disk: such a job waits again,
# its ticket in Redis claims nothing, and the next round releases it anew under the same name. The log is written in
# order: the first commit that does wait, of a settlement or a checkpoint, makes all durable that came before.
_BEGIN = f"BEGIN; SET LOCAL synchronous_commit = off; SELECT {_LOCK}"

# Each job a microsecond after the one before, so that `released_at` tells the order and nothing else has to. What
# somebody else is changing is left out: nobody waits for a lock here.
_RELEASE = """
WITH asked AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[])
    WITH ORDINALITY AS a(id, attempt, priority, size, place)
), free AS MATERIALIZED (
    SELECT jobs.id, asked.place FROM asked JOIN jobs ON jobs.id = asked.id
    WHERE jobs.attempt = asked.attempt - 1 AND jobs.priority = asked.priority AND jobs.size = asked.size
      AND (jobs.state IN ('queued', 'retrying') AND jobs.released_at IS NULL) IS TRUE AND jobs.due_at <= now()
    FOR NO KEY UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET released_at = greatest(now(), to_timestamp($5)) + free.place * interval '1 microsecond'
FROM free WHERE jobs.id = free.id RETURNING jobs.id, extract(epoch FROM released_at)::float8 AS at
"""

_ASK = f"SELECT pg_notify('{CONTROL}', job || ':yield') FROM unnest($1::text[]) AS asked(job)"

_ONE_AT_A_TIME = text(f"SELECT {_LOCK}")

_RUNWAYS = text("""
SELECT priority, size, count(*) AS released FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL GROUP BY priority, size
""")

_RUNNING = text("SELECT priority, size, count(*) AS running FROM jobs WHERE state = 'running' GROUP BY priority, size")

_UNCLAIMED = text("""
SELECT id, attempt + 1 AS attempt, priority, size, extract(epoch FROM released_at)::float8 AS at FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at < now() - CAST(:older_than AS interval)
ORDER BY released_at LIMIT 1000
""")

_WITHDRAW = text(f"""
WITH changed AS (
    UPDATE jobs SET released_at = NULL
    WHERE priority = :priority AND size = :size AND state IN ('queued', 'retrying') AND released_at IS NOT NULL
    RETURNING id, customer_id, key_id, priority, size
), dispatcher AS ({told_backlog("changed", "true")})
SELECT id FROM changed LEFT JOIN dispatcher ON true
""")

_WAKE = text(f"SELECT pg_notify('{BACKLOG}', '')")

Lane = tuple[Priority, Size]


class Released(NamedTuple):
    """A job on the runway."""

    job_id: UUID
    attempt: int
    lane: Lane
    at: float
    """When it was released (seconds since the epoch): no two of them are the same, and they tell the order."""

    @property
    def ticket(self) -> Ticket:
        """The job and the attempt."""
        return self.job_id, self.attempt


async def one_at_a_time(session: Session) -> None:
    """Let nobody else decide what is released until this transaction ends: a pause that is committed holds at once."""
    await session.execute(_ONE_AT_A_TIME)


async def begin(connection: "asyncpg.Connection[Any]") -> None:
    """Begin the transaction of a release, once nobody else is deciding; ended by a plain COMMIT or ROLLBACK."""
    await connection.execute(_BEGIN)


async def release(
    connection: "asyncpg.Connection[Any]", chosen: Sequence[tuple[UUID, int, Lane]], after: float = 0.0
) -> list[Released]:
    """Move the jobs chosen from the backlog to the runway, in that order; those that moved on meanwhile are left out.

    A job is named with its next attempt and its lane. `after` is when the last one was released before.
    """
    rows = await connection.fetch(
        _RELEASE,
        [job for job, _, _ in chosen],
        [attempt for _, attempt, _ in chosen],
        [lane[0] for _, _, lane in chosen],
        [lane[1] for _, _, lane in chosen],
        after,
    )
    at = {row["id"]: row["at"] for row in rows}
    return [Released(job, attempt, lane, at[job]) for job, attempt, lane in chosen if job in at]


async def ask_to_give_way(connection: "asyncpg.Connection[Any]", jobs: Sequence[UUID]) -> None:
    """Tell the workers of running jobs to have them stop at their next checkpoint, once this commits."""
    await connection.execute(_ASK, [str(job) for job in jobs])


async def runways(session: Session) -> dict[Lane, int]:
    """Count, per lane, the jobs released and not yet claimed."""
    rows = await session.execute(_RUNWAYS)
    return {(Priority(row.priority), Size(row.size)): row.released for row in rows}


async def running(session: Session) -> dict[Lane, int]:
    """Count, per lane, the running jobs."""
    rows = await session.execute(_RUNNING)
    return {(Priority(row.priority), Size(row.size)): row.running for row in rows}


async def unclaimed(session: Session, older_than: timedelta) -> list[Released]:
    """List jobs that were released a while ago and that no worker has claimed: perhaps lost from Redis."""
    rows = await session.execute(_UNCLAIMED, {"older_than": older_than})
    return [Released(row.id, row.attempt, (Priority(row.priority), Size(row.size)), row.at) for row in rows]


async def withdraw(session: Session, lane: Lane) -> list[UUID]:
    """Take the jobs of a lane back from the runway; a worker that still finds one in Redis cannot claim it."""
    rows = await session.execute(_WITHDRAW, {"priority": lane[0], "size": lane[1]})
    return list(rows.scalars())


async def wake_dispatcher(session: Session) -> None:
    """Have the dispatcher look again once this commits."""
    await session.execute(_WAKE)
