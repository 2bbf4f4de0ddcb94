"""Whose jobs an incident touches now: from the tallies where it holds lanes, else from few jobs, each on an index."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import text

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.notices import MOST_JOBS, Subject
from invoicing.jobs.model.losses import POISON
from invoicing.kit.db import Session

_OF_LANES = "(CAST(:lanes AS text[]) IS NULL OR priority || '-' || size = ANY(CAST(:lanes AS text[])))"

_IN_LANES = text(f"""
SELECT customer_id, sum(waiting)::bigint AS waiting, array_agg(lane) AS lanes FROM (
    SELECT customer_id, priority || '-' || size AS lane, sum(waiting) AS waiting FROM (
        SELECT customer_id, priority, size, waiting FROM tallies WHERE {_OF_LANES}
        UNION ALL SELECT customer_id, priority, size, waiting FROM tally_changes WHERE {_OF_LANES}
    ) AS counted GROUP BY customer_id, lane HAVING sum(waiting) > 0
) AS waiting GROUP BY customer_id
""")

_OF_KINDS = "(CAST(:kinds AS text[]) IS NULL OR kind = ANY(CAST(:kinds AS text[])))"
_OF_WORKERS = "worker_id = ANY(CAST(:workers AS uuid[]))"

_ON_RUNWAYS = f"""
SELECT customer_id, id FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL AND {_OF_KINDS} AND {_OF_LANES} LIMIT :most
"""

_RUNNING = f"SELECT customer_id, id FROM jobs WHERE state = 'running' AND {_OF_WORKERS} LIMIT :most"

# What waits in a lane that nobody serves is held by that by now; its customer is told of it, and once.
_LOST = f"""
({_RUNNING})
UNION
(SELECT j.customer_id, j.id FROM losses l JOIN jobs j ON j.id = l.job_id
WHERE l.{_OF_WORKERS} AND l.returned_at IS NULL AND j.attempt = l.attempt AND j.state IN ('queued', 'retrying')
    AND NOT EXISTS (
        SELECT FROM conditions c
        WHERE c.until IS NULL AND c.cause = 'no_worker' AND c.scope = j.priority || '-' || j.size
    )
LIMIT :most)
"""

_DEAD = """
SELECT customer_id, id FROM jobs
WHERE kind = ANY(CAST(:kinds AS text[])) AND state = 'dead' AND finished_at >= :since AND error ->> 'code' = :error
ORDER BY finished_at DESC LIMIT :most
"""

_FAILED = f"""
(SELECT customer_id, id FROM jobs
WHERE state = 'retrying' AND {_OF_KINDS} AND error ->> 'code' = :error ORDER BY due_at DESC LIMIT :most)
UNION ({_DEAD})
"""

_HELD_BACK = """
SELECT customer_id, id FROM jobs
WHERE finished_at IS NULL AND needs <> '' AND state IN ('queued', 'retrying') AND NOT held
  AND :needs = ANY(string_to_array(needs, ' ')) LIMIT :most
"""

_MISSED = f"""
SELECT customer_id, id FROM jobs
WHERE finished_at IS NULL AND promise_status = 'missed' AND {_OF_LANES} AND {_OF_KINDS} LIMIT :most
"""

_ONE_BY_ONE = MappingProxyType(
    {
        cause: text(statement)
        for cause, statement in {
            Cause.NO_CAPABLE_WORKER: _ON_RUNWAYS,
            Cause.LOOP_BLOCKED: _RUNNING,
            Cause.WORKER_LOST: _LOST,
            Cause.DEPENDENCY_DOWN: _FAILED,
            Cause.POISON: _DEAD,
            Cause.PROMISES_MISSED: _MISSED,
        }.items()
    }
)

_NEEDING = text(_HELD_BACK)

Pair = tuple[UUID, UUID]
"""A customer, and a job of it."""


@dataclass(frozen=True)
class InLanes:
    """What of a customer waits in some lanes."""

    customer_id: UUID
    waiting: int
    lanes: frozenset[str]


async def in_lanes(session: Session, lanes: Collection[str] | None) -> list[InLanes]:
    """Tell of whom something waits in some lanes, or in any."""
    rows = await session.execute(_IN_LANES, {"lanes": None if lanes is None else list(lanes)})
    return [InLanes(row.customer_id, row.waiting, frozenset(row.lanes)) for row in rows]


async def one_by_one(session: Session, subject: Subject) -> list[Pair]:
    """List the jobs that a cause holds which does not hold lanes, up to a bound."""
    statement = _ONE_BY_ONE.get(subject.cause) if subject.needs is None else _NEEDING
    if statement is None:
        return []
    asked: Mapping[str, Any] = {
        "lanes": _list(subject.lanes),
        "kinds": _list(subject.kinds),
        "workers": _list(subject.workers),
        "needs": subject.needs,
        "error": POISON if subject.cause is Cause.POISON else subject.error,
        "since": subject.since,
        "most": MOST_JOBS,
    }
    needed = {name: value for name, value in asked.items() if f":{name}" in statement.text}
    return [(row.customer_id, row.id) for row in await session.execute(statement, needed)]


def _list(values: Collection[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
