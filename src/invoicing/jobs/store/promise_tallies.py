"""How many promises were kept: finished jobs counted once, by the hour in which they ended, and added up again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session

_LAG = timedelta(seconds=1)
_LONGEST_TRANSACTION = timedelta(seconds=60)
"""Whoever settles commits sooner: a transaction that waits is ended after that time."""
_AT_ONCE = timedelta(minutes=15)
"""Of the time in which jobs ended; after a pause of days it takes more statements, not a longer one."""
_KEPT_FOR = timedelta(days=400)

# A job's time of finishing is the begin of the transaction that settled it, which may still be open while later ones
# are committed: nothing is counted from behind the begin of the oldest one. The place reached is locked, so that one
# counts at a time, and moves with the counts. Both reads of jobs are ranges of an index, the second for each kind. One
# that was cancelled in time was neither kept nor missed.
_COUNT = text("""
WITH RECURSIVE place AS (
    SELECT counted_to AS since FROM promise_counts FOR UPDATE SKIP LOCKED
), horizon AS (
    SELECT least(now() - CAST(:lag AS interval), min(xact_start)) AS at FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
      AND xact_start > now() - CAST(:longest AS interval)
), span AS MATERIALIZED (
    SELECT since, least(horizon.at, since + CAST(:at_once AS interval)) AS upto, horizon.at AS horizon
    FROM place CROSS JOIN horizon WHERE horizon.at > since
), kinds AS (
    SELECT min(kind) AS kind FROM jobs
    WHERE state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0)
    UNION ALL
    SELECT (SELECT min(kind) FROM jobs WHERE (state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0))
            AND kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL
), ended AS (
    SELECT j.customer_id, j.kind, j.finished_at, j.promise_due, j.state FROM span JOIN jobs j
        ON j.state = 'succeeded' AND j.finished_at >= span.since AND j.finished_at < span.upto
    UNION ALL
    SELECT j.customer_id, j.kind, j.finished_at, j.promise_due, j.state FROM span
    CROSS JOIN kinds CROSS JOIN (VALUES ('dead'), ('cancelled')) AS s(state)
    JOIN jobs j ON j.kind = kinds.kind AND j.state = s.state AND j.state IN ('dead', 'cancelled')
        AND j.finished_at >= span.since AND j.finished_at < span.upto
), counted AS (
    INSERT INTO promise_tallies AS t (hour, customer_id, kind, kept, missed)
    SELECT date_trunc('hour', finished_at), customer_id, kind,
        count(*) FILTER (WHERE state = 'succeeded' AND finished_at <= promise_due),
        count(*) FILTER (WHERE state = 'dead' OR finished_at > promise_due)
    FROM ended GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (hour, customer_id, kind) DO UPDATE
        SET kept = t.kept + excluded.kept, missed = t.missed + excluded.missed
), reached AS (
    UPDATE promise_counts SET counted_to = span.upto FROM span RETURNING counted_to
), forgotten AS (
    DELETE FROM promise_tallies WHERE hour < now() - CAST(:kept_for AS interval)
)
SELECT horizon > upto AS more FROM span
""")

_SHARES = text("""
SELECT c.slug AS customer, t.kind, sum(t.kept) AS kept, sum(t.missed) AS missed, sum(t.updates_kept) AS updates_kept,
    sum(t.updates_missed) AS updates_missed
FROM promise_tallies t JOIN customers c ON c.id = t.customer_id
WHERE t.hour >= date_trunc('hour', CAST(:since AS timestamptz)) AND t.hour < :until
  AND (CAST(:customer_id AS uuid) IS NULL OR t.customer_id = :customer_id)
  AND (CAST(:customer AS text) IS NULL OR c.slug = :customer) AND (CAST(:kind AS text) IS NULL OR t.kind = :kind)
GROUP BY c.slug, t.kind HAVING sum(t.kept + t.missed + t.updates_kept + t.updates_missed) > 0
ORDER BY sum(t.missed) DESC, sum(t.updates_missed) DESC, c.slug, t.kind LIMIT :most
""")


class Share(NamedTuple):
    """How the promises of a customer's jobs of a kind ended, and those of a time by which there would be news."""

    customer: str
    kind: str
    kept: int
    missed: int
    updates_kept: int
    updates_missed: int


async def count(session: Session) -> bool:
    """Count what ended since the last time; tells whether there is more. Does nothing while another counts."""
    spans = {"lag": _LAG, "longest": _LONGEST_TRANSACTION, "at_once": _AT_ONCE, "kept_for": _KEPT_FOR}
    return bool(await session.scalar(_COUNT, spans))


async def shares(
    session: Session,
    since: datetime,
    until: datetime,
    most: int,
    *,
    customer_id: UUID | None = None,
    customer: str | None = None,
    kind: str | None = None,
) -> Sequence[Share]:
    """Add up whole hours of a time, those with the most misses first; of one customer alone where it is named."""
    asked = {"since": since, "until": until, "customer_id": customer_id, "customer": customer, "kind": kind}
    rows = await session.execute(_SHARES, {**asked, "most": most})
    return [Share(row.customer, row.kind, *map(int, row[2:])) for row in rows]
