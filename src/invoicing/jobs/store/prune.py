"""Removing what was kept long enough, a little at a time: finished jobs with all that is theirs, idempotency keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session

# Every finished job is in exactly one of two indexes: those that succeeded at once in the one from which normal times
# are learned (by kind, magnitude and time), all others in one of their own. So no job pays at its end for an index only
# to be found again years later. Rows are compared with their kind in front, for no other index to fit: by time alone,
# all the invoices of ten years would be read again and again to find that none of them is due.
_MAGNITUDE = "floor(log(GREATEST(predicted_s, 0.001)))"
_AT_ONCE = "state = 'succeeded' AND failures = 0"
_BEHIND = "NOT (finished_at = :from_at AND id <= :from_id)"

_MAGNITUDES = f"""
magnitudes AS (
    (SELECT {_MAGNITUDE} AS magnitude FROM jobs WHERE kind = :kind AND {_AT_ONCE} ORDER BY {_MAGNITUDE} LIMIT 1)
    UNION ALL
    SELECT next.magnitude FROM magnitudes CROSS JOIN LATERAL (
        SELECT {_MAGNITUDE} AS magnitude FROM jobs
        WHERE kind = :kind AND {_AT_ONCE} AND {_MAGNITUDE} > magnitudes.magnitude ORDER BY {_MAGNITUDE} LIMIT 1
    ) AS next
)
"""


def _troubled(state: str) -> str:
    """Select, of those that did not succeed at once, the first to have ended in a state."""
    failed = "AND failures > 0" if state == "succeeded" else ""
    return f"""
    (SELECT id, finished_at FROM jobs
     WHERE (kind, state, finished_at) >= (:kind, '{state}', :from_at)
       AND (kind, state, finished_at) < (:kind, '{state}', :before) AND {_BEHIND} AND state = '{state}' {failed}
     ORDER BY kind, state, finished_at, id LIMIT :most)
    """


_SUCCEEDED = f"""
WITH RECURSIVE {_MAGNITUDES}, due AS (
    SELECT first.* FROM magnitudes CROSS JOIN LATERAL (
        SELECT id, finished_at FROM jobs
        WHERE (kind, {_MAGNITUDE}, finished_at) >= (:kind, magnitudes.magnitude, :from_at)
          AND (kind, {_MAGNITUDE}, finished_at) < (:kind, magnitudes.magnitude, :before) AND {_BEHIND} AND {_AT_ONCE}
        ORDER BY kind, {_MAGNITUDE}, finished_at, id LIMIT :most
    ) AS first
    UNION ALL {_troubled("succeeded")}
)
"""

_UNSUCCESSFUL = f"""
WITH due AS ({_troubled("dead")} UNION ALL {_troubled("cancelled")})
"""

# The states are asked for again under the lock: meanwhile our staff may have had a dead job tried again.
_TAKE = """
SELECT jobs.id, jobs.finished_at,
    (SELECT count(*) FROM (SELECT FROM artifact_parts WHERE job_id = jobs.id LIMIT :parts) AS counted) AS parts
FROM jobs WHERE id IN (SELECT id FROM due ORDER BY finished_at, id LIMIT :most) AND finished_at < :before
ORDER BY finished_at, id FOR UPDATE SKIP LOCKED
"""

_COUNT = "SELECT count(*) FROM (SELECT FROM due LIMIT :most) AS counted"

# What has a foreign key to its job goes with it; history has none (it costs every change of a job), and goes here.
_REMOVE = text("""
WITH gone AS (
    DELETE FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at IS NOT NULL RETURNING id
), told AS (
    DELETE FROM timeline USING gone WHERE job_id = gone.id
), tried AS (
    DELETE FROM attempts USING gone WHERE job_id = gone.id
)
SELECT count(*) FROM gone
""")

_KEYS = text("""
WITH old AS (
    SELECT customer_id, key FROM idempotency_keys WHERE created_at < :before
    ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM idempotency_keys AS k USING old WHERE k.customer_id = old.customer_id AND k.key = old.key RETURNING 1
)
SELECT count(*) FROM gone
""")

_COUNT_KEYS = text("""
SELECT count(*) FROM (SELECT FROM idempotency_keys WHERE created_at < :before LIMIT :most) AS counted
""")

_KINDS = text("""
WITH RECURSIVE kinds AS (
    SELECT least(
        (SELECT min(kind) FROM jobs WHERE state = 'succeeded' AND failures = 0),
        (SELECT min(kind) FROM jobs WHERE state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0))
    ) AS kind
    UNION ALL
    SELECT least(
        (SELECT min(kind) FROM jobs WHERE state = 'succeeded' AND failures = 0 AND kind > kinds.kind),
        (SELECT min(kind) FROM jobs WHERE (state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0))
            AND kind > kinds.kind)
    ) FROM kinds WHERE kinds.kind IS NOT NULL
)
SELECT kind FROM kinds WHERE kind IS NOT NULL
""")

_CLOCK = text("SELECT now()")


class Ended(StrEnum):
    """How jobs ended that are kept alike."""

    SUCCEEDED = "succeeded"
    UNSUCCESSFUL = "unsuccessful"


_DUE = {Ended.SUCCEEDED: _SUCCEEDED, Ended.UNSUCCESSFUL: _UNSUCCESSFUL}
_TAKE_DUE = {ended: text(due + _TAKE) for ended, due in _DUE.items()}
_COUNT_DUE = {ended: text(due + _COUNT) for ended, due in _DUE.items()}


@dataclass(frozen=True)
class Place:
    """Up to where in the order of their ends jobs were looked at."""

    finished_at: datetime
    job_id: UUID


@dataclass(frozen=True)
class Due:
    """A finished job, locked, and how many parts of files it has (up to a bound)."""

    place: Place
    parts: int


async def clock(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    now: datetime = (await session.execute(_CLOCK)).scalar_one()
    return now


async def take_due(
    session: Session, kind: str, ended: Ended, before: datetime, after: Place | None, most: int, parts: int
) -> list[Due]:
    """Lock the jobs of a kind that ended first, behind a place; those that somebody else has locked are left out."""
    asked = _asked(kind, before, after, most)
    rows = await session.execute(_TAKE_DUE[ended], {**asked, "parts": parts})
    return [Due(Place(row.finished_at, row.id), row.parts) for row in rows]


async def count_due(session: Session, kind: str, ended: Ended, before: datetime, most: int) -> int:
    """Count the jobs of a kind that ended before a time, up to so many."""
    counted: int = (await session.execute(_COUNT_DUE[ended], _asked(kind, before, None, most))).scalar_one()
    return counted


async def remove(session: Session, job_ids: Collection[UUID]) -> int:
    """Remove finished jobs with all that belongs to them; gives how many were there."""
    removed: int = (await session.execute(_REMOVE, {"ids": list(job_ids)})).scalar_one()
    return removed


async def remove_keys(session: Session, before: datetime, most: int) -> int:
    """Forget the oldest idempotency keys; gives how many there were to forget."""
    removed: int = (await session.execute(_KEYS, {"before": before, "most": most})).scalar_one()
    return removed


async def count_keys(session: Session, before: datetime, most: int) -> int:
    """Count the idempotency keys from before a time, up to so many."""
    counted: int = (await session.execute(_COUNT_KEYS, {"before": before, "most": most})).scalar_one()
    return counted


async def kinds(session: Session) -> Sequence[str]:
    """List the kinds of which there are finished jobs."""
    return list((await session.execute(_KINDS)).scalars())


def _asked(kind: str, before: datetime, after: Place | None, most: int) -> dict[str, object]:
    from_at, from_id = (after.finished_at, after.job_id) if after else (_EVER, UUID(int=0))
    return {"kind": kind, "before": before, "from_at": from_at, "from_id": from_id, "most": most}


_EVER = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
