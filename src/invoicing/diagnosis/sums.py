"""Statements about the time that ended jobs took, added up by day, lane, customer and cause."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from invoicing.diagnosis.model.days import Sum
from invoicing.kit.db import Session

_LAG = timedelta(seconds=15)
"""By then it is written what held the lanes at a job's end."""
_LONGEST_TRANSACTION = timedelta(seconds=60)
"""Whoever settles commits sooner: a transaction that waits is ended after that time."""
_KEPT_FOR = timedelta(days=3 * 366)

_WORK = "running_normally"

_REACHED = text("SELECT at, job_id FROM places WHERE name = 'waits' FOR UPDATE SKIP LOCKED")

# A job's time of finishing is the begin of the transaction that settled it, which may still be open while later ones
# are committed: nothing is read from behind the begin of the oldest one. Both reads of jobs are ranges of an index, the
# second for each kind.
_ENDED = text("""
WITH RECURSIVE horizon AS (
    SELECT least(now() - CAST(:lag AS interval), min(xact_start)) AS at FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND xact_start > now() - CAST(:longest AS interval)
), kinds AS (
    SELECT min(kind) AS kind FROM jobs
    WHERE state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0)
    UNION ALL
    SELECT (SELECT min(kind) FROM jobs WHERE (state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0))
            AND kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL
), ended AS (
    (SELECT id, finished_at FROM jobs
     WHERE state = 'succeeded' AND (finished_at, id) > (:at, :id) AND finished_at < (SELECT at FROM horizon)
     ORDER BY finished_at, id LIMIT :most)
    UNION ALL
    SELECT first.id, first.finished_at FROM kinds CROSS JOIN (VALUES ('dead'), ('cancelled')) AS s(state)
    CROSS JOIN LATERAL (
        SELECT id, finished_at FROM jobs
        WHERE kind = kinds.kind AND state = s.state AND state IN ('dead', 'cancelled')
          AND (finished_at, id) > (:at, :id) AND finished_at < (SELECT at FROM horizon)
        ORDER BY finished_at, id LIMIT :most
    ) AS first
)
SELECT id, finished_at FROM ended ORDER BY finished_at, id LIMIT :most
""")

_BOOKED = text("SELECT job_id, until FROM waits_booked WHERE job_id = ANY(CAST(:ids AS uuid[]))")

_ADD = text("""
INSERT INTO waits AS w (day, lane, customer_id, cause, ms)
SELECT * FROM unnest(
    CAST(:days AS date[]), CAST(:lanes AS text[]), CAST(:customers AS uuid[]), CAST(:causes AS text[]),
    CAST(:ms AS bigint[])
)
ON CONFLICT (day, lane, customer_id, cause) DO UPDATE SET ms = w.ms + excluded.ms
""")

_DIED = text("""
INSERT INTO waits_booked (job_id, until)
SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:untils AS timestamptz[]))
ON CONFLICT (job_id) DO UPDATE SET until = excluded.until
""")

_REACH = text("UPDATE places SET at = :at, job_id = :id WHERE name = 'waits'")

_FORGET = text("DELETE FROM waits WHERE day < now() - CAST(:kept AS interval)")

_TALLIED_TO = text("SELECT at FROM places WHERE name = 'waits'")


class By(StrEnum):
    """What sums are told by."""

    LANE = "lane"
    CUSTOMER = "customer"
    CAUSE = "cause"
    DAY = "day"


_SPENT = text("""
WITH sums AS (
    SELECT CASE CAST(:by AS text)
            WHEN 'lane' THEN lane WHEN 'customer' THEN slug WHEN 'cause' THEN cause ELSE day::text END AS key,
        cause, sum(ms)::bigint AS ms
    FROM waits JOIN customers ON customers.id = customer_id
    WHERE day BETWEEN :first AND :last AND (CAST(:lane AS text) IS NULL OR lane = :lane)
      AND (CAST(:customer AS text) IS NULL OR slug = :customer)
    GROUP BY 1, 2
), ranked AS (
    SELECT key, coalesce(sum(ms) FILTER (WHERE cause <> :work), 0) AS waited FROM sums
    GROUP BY key ORDER BY 2 DESC, 1 LIMIT :most
)
SELECT key, cause, ms FROM sums JOIN ranked USING (key) ORDER BY waited DESC, key, ms DESC
""")


class Ended(NamedTuple):
    """A job that ended, and when."""

    job_id: UUID
    at: datetime


@dataclass(frozen=True)
class Spent:
    """How much time went by under a key, by cause (milliseconds, the most first)."""

    key: str
    ms: Mapping[str, int]

    @property
    def waited_ms(self) -> int:
        """All of it but work."""
        return sum(self.ms.values()) - self.ms.get(_WORK, 0)


async def reached(session: Session) -> Ended | None:
    """Tell up to which end of a job waits are added up; None while somebody else adds. Locks until commit."""
    row = (await session.execute(_REACHED)).one_or_none()
    return None if row is None else Ended(row.job_id or UUID(int=0), row.at)


async def ended_after(session: Session, place: Ended, most: int) -> list[Ended]:
    """List the jobs that ended first behind a place, as far as none of them can still be missing."""
    asked = {"at": place.at, "id": place.job_id, "lag": _LAG, "longest": _LONGEST_TRANSACTION, "most": most}
    return [Ended(row.id, row.finished_at) for row in await session.execute(_ENDED, asked)]


async def booked(session: Session, job_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Tell of jobs that had died before up to where their lives were added up then."""
    return {row.job_id: row.until for row in await session.execute(_BOOKED, {"ids": list(job_ids)})}


async def add(session: Session, sums: Mapping[Sum, int]) -> None:
    """Add milliseconds to what is there."""
    if sums:
        keys = sorted(sums)
        values = {
            "days": [key.day for key in keys],
            "lanes": [key.lane for key in keys],
            "customers": [key.customer_id for key in keys],
            "causes": [key.cause for key in keys],
            "ms": [sums[key] for key in keys],
        }
        await session.execute(_ADD, values)


async def reach(session: Session, place: Ended, died: Sequence[Ended]) -> None:
    """Write up to which end waits are added up, and which jobs might go on after all."""
    if died:
        await session.execute(_DIED, {"ids": [one.job_id for one in died], "untils": [one.at for one in died]})
    await session.execute(_REACH, {"at": place.at, "id": place.job_id})


async def forget(session: Session) -> None:
    """Remove the sums of days that are three years old."""
    await session.execute(_FORGET, {"kept": _KEPT_FOR})


async def tallied_to(session: Session) -> datetime:
    """Tell up to which time jobs have ended that are added up."""
    moment: datetime = (await session.execute(_TALLIED_TO)).scalar_one()
    return moment


async def spent(
    session: Session, by: By, first: date, last: date, most: int, *, lane: str | None, customer: str | None
) -> list[Spent]:
    """Add up whole days by a key, those with the longest waits first; of one lane or customer where it is named."""
    days = {"by": by, "first": first, "last": last}
    asked = {**days, "most": most, "lane": lane, "customer": customer, "work": _WORK}
    found: dict[str, dict[str, int]] = {}
    for row in await session.execute(_SPENT, asked):
        found.setdefault(row.key, {})[row.cause] = row.ms
    return [Spent(key, causes) for key, causes in found.items()]
