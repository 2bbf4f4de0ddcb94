"""What monitoring needs to know of jobs that are held before they may run, and of what is down that jobs need."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text

from invoicing.kit.db import Session

MOST_COUNTED = 10_000
"""Reviews, and pauses, that are counted."""

_HELD = text("""
SELECT (SELECT count(*) FROM (
        SELECT FROM holds WHERE quota_id IS NULL AND owner IS NOT NULL LIMIT :most
    ) AS c) AS in_review,
    (SELECT count(*) FROM (
        SELECT FROM holds WHERE quota_id IS NULL AND owner IS NOT NULL AND due < now() LIMIT :most
    ) AS c) AS overdue,
    (SELECT count(*) FROM (SELECT FROM holds WHERE reason IS NOT NULL LIMIT :most) AS c) AS paused,
    (SELECT coalesce(sum(waiting), 0)::bigint FROM quotas WHERE waiting > 0) AS awaiting_quota
""")

_DOWN = text("SELECT name, opened_at IS NOT NULL AS down FROM dependencies ORDER BY name")


@dataclass(frozen=True)
class Holdups:
    """How many jobs are held, and whether what jobs need is down."""

    in_review: int
    """Counted up to `MOST_COUNTED`."""
    overdue: int
    """Those of them that should have been decided by now."""
    awaiting_quota: int
    paused: int
    """Single jobs that our staff paused, counted up to `MOST_COUNTED`."""
    down: Mapping[str, bool]
    """By dependency; one that never failed is left out."""


async def holdups(session: Session) -> Holdups:
    """Count them, each on an index and no further than a bound."""
    held = (await session.execute(_HELD, {"most": MOST_COUNTED})).one()
    down = {row.name: row.down for row in await session.execute(_DOWN)}
    return Holdups(held.in_review, held.overdue, held.awaiting_quota, held.paused, down)
