"""What jobs are about, by currency: few jobs, or what waits of some customers in lanes, up to a bound."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session
from invoicing.lanes.model import BY_NAME

MOST = 10_000
"""Jobs that are added up at most."""

_SUMS = text("""
WITH places AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:customers AS uuid[]), CAST(:priorities AS text[]), CAST(:sizes AS text[]))
        AS place(customer_id, priority, size)
), found AS (
    SELECT waiting.amount, waiting.currency FROM places CROSS JOIN LATERAL (
        SELECT amount, currency FROM jobs
        WHERE customer_id = places.customer_id AND size = places.size AND priority = places.priority
          AND state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
    ) AS waiting
    UNION ALL
    SELECT jobs.amount, jobs.currency FROM jobs JOIN places USING (customer_id, priority, size)
    WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL
    UNION ALL
    SELECT amount, currency FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))
), counted AS (SELECT amount, currency FROM found LIMIT :most)
SELECT currency, sum(amount) AS amount, count(*) AS jobs FROM counted GROUP BY GROUPING SETS ((currency), ())
""")


@dataclass(frozen=True)
class Sums:
    """How much some jobs are about, by currency; `at_least`: there are more than were added up."""

    by_currency: Mapping[str, Decimal]
    at_least: bool = False


async def sums(session: Session, waiting: Collection[tuple[UUID, str]], job_ids: Collection[UUID]) -> Sums:
    """Add up what waits of customers in lanes (by their names), and single jobs; amounts of one currency only."""
    lanes = [BY_NAME[name] for _, name in waiting]
    asked = {
        "customers": [customer_id for customer_id, _ in waiting],
        "priorities": [lane.priority for lane in lanes],
        "sizes": [lane.size for lane in lanes],
        "ids": list(job_ids),
        "most": MOST,
    }
    rows = (await session.execute(_SUMS, asked)).all()
    found = {row.currency: row.amount for row in rows if row.currency is not None}
    return Sums(found, at_least=max(row.jobs for row in rows) >= MOST)
