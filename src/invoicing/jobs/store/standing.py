"""How lanes are doing, at a cost that does not grow with the backlog: who waits longest, how much gets done."""

from datetime import datetime

from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.kit.db import Session

_QUEUES_LOOKED_AT = 500
_FINISHED_LOOKED_AT = 2_000

# The first job of each queue, not every job: what was put back in its queue (tried again, parked) may be older.
_OLDEST = text("""
WITH RECURSIVE queues AS (
    (SELECT customer_id, key_id, size, priority, needs FROM jobs
     WHERE state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
     ORDER BY customer_id, key_id, size, priority, needs LIMIT 1)
    UNION ALL SELECT next.* FROM queues CROSS JOIN LATERAL (
        SELECT customer_id, key_id, size, priority, needs FROM jobs
        WHERE state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
          AND (customer_id, key_id, size, priority, needs)
              > (queues.customer_id, queues.key_id, queues.size, queues.priority, queues.needs)
        ORDER BY customer_id, key_id, size, priority, needs LIMIT 1
    ) AS next
), looked_at AS (SELECT * FROM queues LIMIT :queues)
SELECT priority, size, min(submitted_at) AS oldest FROM (
    SELECT looked_at.priority, looked_at.size, first.submitted_at FROM looked_at CROSS JOIN LATERAL (
        SELECT submitted_at FROM jobs
        WHERE customer_id = looked_at.customer_id AND key_id = looked_at.key_id AND size = looked_at.size
          AND priority = looked_at.priority AND needs = looked_at.needs
          AND state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held
        ORDER BY order_at, id LIMIT 1
    ) AS first
    UNION ALL
    SELECT priority, size, submitted_at FROM jobs WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL
) AS firsts GROUP BY priority, size
""")

_FINISHED = text("""
WITH latest AS MATERIALIZED (
    SELECT priority, size, finished_at FROM jobs
    WHERE state = 'succeeded' AND finished_at > now() - interval '1 min' ORDER BY finished_at DESC, id DESC LIMIT :most
), span AS (
    SELECT CASE WHEN count(*) < :most THEN 60.0
                ELSE greatest(0.001, extract(epoch FROM now() - min(finished_at))) END AS seconds FROM latest
)
SELECT priority, size, count(*) / (SELECT seconds FROM span) AS rate FROM latest GROUP BY priority, size
""")

Lane = tuple[Priority, Size]


async def oldest(session: Session) -> dict[Lane, datetime]:
    """Tell, per lane, when the job was submitted that waits longest of those that come first in their queues."""
    rows = await session.execute(_OLDEST, {"queues": _QUEUES_LOOKED_AT})
    return {(Priority(row.priority), Size(row.size)): row.oldest for row in rows}


async def rates(session: Session) -> dict[Lane, float]:
    """Tell, per lane, how many jobs a second succeeded over the last minute (of many, over the latest of it)."""
    rows = await session.execute(_FINISHED, {"most": _FINISHED_LOOKED_AT})
    return {(Priority(row.priority), Size(row.size)): float(row.rate) for row in rows}
