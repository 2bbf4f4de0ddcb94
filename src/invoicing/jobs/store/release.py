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

# The gate first: whoever withdraws a lane has changed its row and holds it until the pause is committed, so what was
# decided before that is released never. Then each job a microsecond after the one before, so that `released_at` tells
# the order and nothing else has to. What somebody else is changing is left out: nobody waits for a lock on a job here.
_RELEASE = """
WITH gate AS MATERIALIZED (
    SELECT FROM release_gate WHERE withdrawals = $6 FOR SHARE
), asked AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[])
    WITH ORDINALITY AS a(id, attempt, priority, size, place)
), free AS MATERIALIZED (
    SELECT jobs.id, asked.place FROM asked JOIN jobs ON jobs.id = asked.id
    WHERE EXISTS (SELECT FROM gate)
      AND jobs.attempt = asked.attempt - 1 AND jobs.priority = asked.priority AND jobs.size = asked.size
      AND (jobs.state IN ('queued', 'retrying') AND jobs.released_at IS NULL AND NOT jobs.held) IS TRUE
      AND jobs.due_at <= now()
    FOR NO KEY UPDATE OF jobs SKIP LOCKED
)
UPDATE jobs SET released_at = greatest(now(), to_timestamp($5)) + free.place * interval '1 microsecond'
FROM free WHERE jobs.id = free.id RETURNING jobs.id, extract(epoch FROM released_at)::float8 AS at
"""

_ASK = f"SELECT pg_notify('{CONTROL}', job || ':yield') FROM unnest($1::text[]) AS asked(job)"

_HOLD = text("UPDATE release_gate SET withdrawals = withdrawals + 1")

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

# Locked by id, as claims do: of all that change jobs, these two alone wait for each other's rows.
_TAKEN_BACK = f"""
    ORDER BY id FOR NO KEY UPDATE
), changed AS (
    UPDATE jobs SET released_at = NULL FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, customer_id, key_id, priority, size, needs
), dispatcher AS ({told_backlog("changed", "true")})
SELECT id FROM changed LEFT JOIN dispatcher ON true
"""

_WITHDRAW = text(f"""
WITH free AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE priority = :priority AND size = :size AND state IN ('queued', 'retrying') AND released_at IS NOT NULL
{_TAKEN_BACK}
""")

# All that lies ready is little; all that a customer has waiting may be much, and is not looked at.
_WITHDRAW_OF = text(f"""
WITH ready AS MATERIALIZED (
    SELECT id, customer_id FROM jobs WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL
), free AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE id IN (SELECT id FROM ready WHERE customer_id = :customer_id)
      AND state IN ('queued', 'retrying') AND released_at IS NOT NULL
{_TAKEN_BACK}
""")

_RUNNING_OF = text("SELECT count(*) FROM jobs WHERE state = 'running' AND customer_id = :customer_id")

_RECALL = """
WITH free AS (
    SELECT id FROM jobs WHERE id = ANY($1::uuid[]) AND (state IN ('queued', 'retrying')) IS TRUE
      AND released_at IS NOT NULL AND expedited_at IS NULL FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE jobs SET released_at = NULL FROM free WHERE jobs.id = free.id RETURNING jobs.id
"""

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


async def hold_releases(session: Session) -> None:
    """Have nothing released that was chosen before this transaction ends: a pause that is committed holds at once."""
    await session.execute(_HOLD)


async def release(
    connection: "asyncpg.Connection[Any]",
    chosen: Sequence[tuple[UUID, int, Lane]],
    withdrawals: int,
    after: float = 0.0,
) -> list[Released]:
    """Move the jobs chosen from the backlog to the runway, in that order; those that moved on meanwhile are left out.

    A job is named with its next attempt and its lane. `withdrawals` is what the look said on which the choice rests:
    nothing is released if a lane was paused since. `after` is when the last one was released before.
    """
    rows = await connection.fetch(
        _RELEASE,
        [job for job, _, _ in chosen],
        [attempt for _, attempt, _ in chosen],
        [lane[0] for _, _, lane in chosen],
        [lane[1] for _, _, lane in chosen],
        after,
        withdrawals,
    )
    at = {row["id"]: row["at"] for row in rows}
    return [Released(job, attempt, lane, at[job]) for job, attempt, lane in chosen if job in at]


async def recall(connection: "asyncpg.Connection[Any]", jobs: Sequence[UUID]) -> set[UUID]:
    """Take jobs back from the runway, but for those that are being claimed this moment or that were expedited."""
    return {row["id"] for row in await connection.fetch(_RECALL, jobs)}


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


async def withdraw_of(session: Session, customer_id: UUID) -> list[UUID]:
    """Take the jobs of a customer back from the runways; what a worker has claimed by then runs."""
    return list((await session.execute(_WITHDRAW_OF, {"customer_id": customer_id})).scalars())


async def running_of(session: Session, customer_id: UUID) -> int:
    """Count a customer's running jobs."""
    count: int = (await session.execute(_RUNNING_OF, {"customer_id": customer_id})).scalar_one()
    return count


async def wake_dispatcher(session: Session) -> None:
    """Have the dispatcher look again once this commits."""
    await session.execute(_WAKE)
