"""How much waits in each lane, whoever it belongs to: added up from the tallies, so that it costs no look at a job."""

from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane
from invoicing.lanes.store.tallies import HELD

_READ = text(f"""
SELECT priority, size, sum(waiting)::bigint AS waiting, coalesce(sum(work_s) FILTER (WHERE NOT held), 0) AS work_s
FROM (
    SELECT priority, size, sum(waiting) AS waiting, sum(work_s) AS work_s, {HELD} AS held FROM (
        SELECT customer_id, priority, size, needs, waiting, work_s FROM tallies
        UNION ALL SELECT customer_id, priority, size, needs, waiting, work_s FROM tally_changes
    ) AS counted GROUP BY customer_id, priority, size, needs
) AS told
GROUP BY priority, size
""")


async def totals(session: Session) -> dict[Lane, tuple[int, float]]:
    """Count the waiting jobs of each lane and their predicted work (seconds, without what is held back), as of now."""
    rows = await session.execute(_READ)
    return {
        Lane(Priority(row.priority), Size(row.size)): (row.waiting, max(0.0, row.work_s) if row.waiting else 0.0)
        for row in rows
    }
