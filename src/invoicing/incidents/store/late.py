"""Jobs whose promise is missed or at risk, one by one up to a bound, and what held lanes until a moment ago.

Asked only where what holds now does not explain all of them: never while all is well.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from sqlalchemy import text

from invoicing.incidents.model.aftermath import Ended, Late
from invoicing.incidents.model.facts import Broken, Stuck
from invoicing.jobs.model import Priority, Size
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane

MOST_OF_A_LANE = 500
"""Of more promises of one lane the rest is not told apart: whatever is behind them shows in so many."""

_JUST_NOW = timedelta(minutes=1)
"""What ended longer ago is no news for a job that may be unexplained for a few seconds."""

_LATE = text("""
SELECT late.id, late.customer_id, late.kind, lane.priority, lane.size, late.promise_status = 'missed' AS missed,
    late.promise_due, coalesce(late.promise_changed_at, late.promise_due) AS told_at, late.submitted_at,
    late.started_at, a.started_at AS running_since, late.worker_id, late.error ->> 'code' AS error, late.needs,
    late.state = 'in_review' OR late.held AS decided,
    ARRAY(SELECT worker_id FROM losses WHERE job_id = late.id) AS lost_by
FROM unnest(CAST(:priorities AS text[]), CAST(:sizes AS text[])) AS lane(priority, size) CROSS JOIN LATERAL (
    SELECT id, customer_id, kind, state, attempt, promise_status, promise_due, promise_changed_at, submitted_at,
        started_at, worker_id, error, needs, held
    FROM jobs WHERE finished_at IS NULL AND promise_status <> 'on_track' AND priority = lane.priority
      AND size = lane.size AND NOT (held AND EXISTS (SELECT FROM holds WHERE job_id = jobs.id AND reason IS NOT NULL))
    LIMIT :most
) AS late LEFT JOIN attempts a ON late.state = 'running' AND a.job_id = late.id AND a.number = late.attempt
""")

_ENDED = text("""
SELECT scope, until AS at, spares FROM conditions WHERE until > now() - CAST(:just_now AS interval)
UNION ALL
SELECT lane, least(ended_at, until), '{}' FROM pauses
WHERE lane = ANY(CAST(:lanes AS text[])) AND least(ended_at, until) > now() - CAST(:just_now AS interval)
  AND least(ended_at, until) <= now()
""")


async def of_groups(session: Session, groups: Collection[Broken]) -> list[Late]:
    """List jobs of these groups whose promise is missed or at risk, some of each lane."""
    wanted = {(one.lane, one.kind, one.running, one.needs, one.decided) for one in groups}
    lanes = sorted({one.lane for one in groups})
    asked = {
        "priorities": [lane.priority for lane in lanes],
        "sizes": [lane.size for lane in lanes],
        "most": MOST_OF_A_LANE,
    }
    found = [
        Late(
            job_id=row.id,
            customer_id=row.customer_id,
            kind=row.kind,
            lane=Lane(Priority(row.priority), Size(row.size)),
            missed=row.missed,
            due=row.promise_due,
            told_at=row.told_at,
            submitted_at=row.submitted_at,
            started_at=row.started_at,
            running_since=row.running_since,
            worker_id=row.worker_id,
            lost_by=frozenset(row.lost_by),
            error=row.error,
            needs=row.needs,
            decided=row.decided,
        )
        for row in await session.execute(_LATE, asked)
    ]
    return [one for one in found if _group_of(one) in wanted]


def _group_of(one: Late) -> tuple[Lane, str, bool, str, bool]:
    return one.lane, one.kind, one.running_since is not None, one.needs, one.decided


async def ended(session: Session, stuck: Iterable[Stuck]) -> Sequence[Ended]:
    """List what held the lanes of some jobs, their customers or everything, and is just over."""
    lanes = sorted({one.lane.name for one in stuck})
    rows = await session.execute(_ENDED, {"lanes": lanes, "just_now": _JUST_NOW})
    return [Ended(row.scope, row.at, frozenset(row.spares)) for row in rows]
