"""How much waits in each lane, whoever it belongs to: added up from the tallies, so that it costs no look at a job."""

from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane

_READ = text("""
SELECT priority, size, sum(waiting)::bigint AS waiting, sum(work_s) AS work_s FROM (
    SELECT priority, size, waiting, work_s FROM tallies
    UNION ALL SELECT priority, size, waiting, work_s FROM tally_changes
) AS counted
GROUP BY priority, size
""")


async def totals(session: Session) -> dict[Lane, tuple[int, float]]:
    """Count the waiting jobs of each lane and their predicted work (seconds), as of one moment."""
    rows = await session.execute(_READ)
    return {
        Lane(Priority(row.priority), Size(row.size)): (row.waiting, max(0.0, row.work_s) if row.waiting else 0.0)
        for row in rows
    }
