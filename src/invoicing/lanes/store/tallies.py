"""How much waits, counted where it changes; folded now and then, so that counting again costs little."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session, driver
from invoicing.lanes.model import LANES, Lane, Tally

HELD = """
needs <> '' AND EXISTS (
    SELECT FROM dependencies d WHERE d.opened_at IS NOT NULL AND d.name = ANY(string_to_array(needs, ' '))
) OR EXISTS (
    SELECT FROM customer_pauses p WHERE p.customer_id = counted.customer_id AND ended_at IS NULL AND until > now()
)
"""
"""Of a tally: its jobs are held back, and so in nobody's way, as something that they need is down, or their customer is
paused."""

# The truth is the sum of both tables, and one statement sees both as they were at one moment.
_READ = f"""
SELECT customer_id, priority, size, sum(waiting)::bigint AS waiting,
    coalesce(sum(work_s) FILTER (WHERE NOT held), 0) AS work_s
FROM (
    SELECT customer_id, priority, size, sum(waiting) AS waiting, sum(work_s) AS work_s, {HELD} AS held FROM (
        SELECT customer_id, priority, size, needs, waiting, work_s FROM tallies
        UNION ALL SELECT customer_id, priority, size, needs, waiting, work_s FROM tally_changes
    ) AS counted GROUP BY customer_id, priority, size, needs
) AS told
GROUP BY customer_id, priority, size HAVING sum(waiting) > 0
ORDER BY sum(work_s) FILTER (WHERE NOT held) DESC NULLS LAST LIMIT $1
"""

_WAITING_OF = text("""
SELECT coalesce(sum(waiting), 0)::bigint FROM (
    SELECT waiting FROM tallies WHERE customer_id = :customer_id
    UNION ALL SELECT waiting FROM tally_changes WHERE customer_id = :customer_id
) AS counted
""")

_LANES: Mapping[tuple[str, str], Lane] = {(lane.priority.value, lane.size.value): lane for lane in LANES}

# Only the dispatcher that leads folds; were there two, they would pass over each other's rows.
_FOLD = text("""
WITH taken AS (
    DELETE FROM tally_changes WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM tally_changes LIMIT :most FOR UPDATE SKIP LOCKED
    )) RETURNING customer_id, priority, size, needs, waiting, work_s
), folded AS (
    INSERT INTO tallies (customer_id, priority, size, needs, waiting, work_s)
    SELECT customer_id, priority, size, needs, sum(waiting), sum(work_s) FROM taken
    GROUP BY customer_id, priority, size, needs ORDER BY customer_id, priority, size, needs
    ON CONFLICT (customer_id, priority, size, needs)
    DO UPDATE SET waiting = tallies.waiting + excluded.waiting, work_s = tallies.work_s + excluded.work_s
)
SELECT count(*) FROM taken
""")


async def tallies(session: Session, most: int | None = None) -> list[Tally]:
    """Tell how much each customer has waiting in each lane, as of one moment; what is empty is left out.

    Those with the most work come first; `most` bounds how many are told. What is held back because something outside
    is down, or its customer is paused, counts as waiting, and not as work.
    """
    rows = await (await driver(session)).fetch(_READ, most)
    return [
        Tally(customer_id, _LANES[priority, size], waiting, max(0.0, work_s))
        for customer_id, priority, size, waiting, work_s in rows
    ]


async def waiting_of(session: Session, customer_id: UUID) -> int:
    """Count a customer's waiting jobs."""
    count: int = (await session.execute(_WAITING_OF, {"customer_id": customer_id})).scalar_one()
    return count


async def fold_tallies(session: Session, most: int) -> int:
    """Add up to so many changes to the tallies; gives how many there were to add."""
    folded: int = (await session.execute(_FOLD, {"most": most})).scalar_one()
    return folded
