"""What happened, read for planning: the newest finished jobs, by an index and in a stream; writes nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.model import Priority
from invoicing.kit.db import Session

_IN_HAND = 1000
"""Rows in memory at a time."""

# Walks ix_jobs_finished from its newest end and stops at the limit; the attempts of each job by their primary key. An
# attempt whose worker was lost is left out: the silence until its lease ran out was not work.
_FINISHED = text("""
SELECT j.submitted_at, j.finished_at, j.customer_id, j.key_id, j.priority, j.kind, j.predicted_s, w.seconds,
    extract(epoch FROM j.promise_due - j.submitted_at)::float8 AS promise_s,
    greatest(0, j.revision - 1 - 2 * w.attempts) AS checkpoints
FROM (
    SELECT * FROM jobs WHERE state = 'succeeded' AND finished_at >= now() - CAST(:over AS interval)
    ORDER BY finished_at DESC, id DESC LIMIT :most
) j CROSS JOIN LATERAL (
    SELECT count(*)::int AS attempts,
        sum(extract(epoch FROM ended_at - started_at)) FILTER (WHERE outcome <> 'lost')::float8 AS seconds
    FROM attempts WHERE job_id = j.id
) w
""")

_SINCE = text("SELECT now() - CAST(:over AS interval)")


@dataclass(frozen=True)
class Finished:
    """A job that succeeded, as far as planning needs it."""

    submitted_at: datetime
    finished_at: datetime
    customer_id: UUID
    key_id: UUID
    priority: Priority
    kind: str
    predicted_s: float
    """What it was taken for (seconds)."""
    seconds: float
    """What it took: all attempts that were work."""
    promise_s: float
    """Within which time of its acceptance it was promised."""
    checkpoints: int
    """How often it said how far it was."""


async def since(session: Session, over: timedelta) -> datetime:
    """Tell when a time before PostgreSQL's now was."""
    moment: datetime = (await session.execute(_SINCE, {"over": over})).scalar_one()
    return moment


async def finished(session: Session, over: timedelta, most: int) -> AsyncIterator[Finished]:
    """Stream what finished lately, the newest first, at most so many."""
    asked = {"over": over, "most": most}
    async with session.stream(_FINISHED, asked, execution_options={"yield_per": _IN_HAND}) as rows:
        async for row in rows:
            if row.seconds:
                yield Finished(
                    row.submitted_at,
                    row.finished_at,
                    row.customer_id,
                    row.key_id,
                    Priority(row.priority),
                    row.kind,
                    row.predicted_s,
                    row.seconds,
                    row.promise_s,
                    row.checkpoints,
                )
