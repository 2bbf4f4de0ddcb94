"""The facts, read set-wise: a fixed number of statements, each on an index and none further than a bound.

These statements read what other rooms own, and write nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from invoicing.diagnosis.model.durations import Group
from invoicing.diagnosis.model.facts import ALIVE_FOR, Attempt, Place, Queue, RunningWork
from invoicing.jobs.model import Priority, Size
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane, Pause, Worker

FARTHEST = 500
"""Waiting jobs of a lane that are looked at, so that the cost does not grow with the backlog; behind them it is "at
least"."""

MOST_SIMILAR = 200
"""Finished jobs of a kind and magnitude that are learned from: enough for an order statistic of 99 %, quickly read."""

_QUEUES = text("""
WITH lanes AS (
    SELECT * FROM unnest(CAST(:priorities AS text[]), CAST(:sizes AS text[])) AS l(priority, size)
), looked_at AS (
    SELECT l.priority, l.size, r.id, r.predicted_s, r.due_at, r.order_at, r.released_at
    FROM lanes l CROSS JOIN LATERAL (
        SELECT id, predicted_s, due_at, order_at, released_at FROM jobs WHERE priority = l.priority AND size = l.size
          AND state IN ('queued', 'retrying') AND released_at IS NOT NULL ORDER BY released_at LIMIT :farthest
    ) r
    UNION ALL
    SELECT l.priority, l.size, b.id, b.predicted_s, b.due_at, b.order_at, NULL
    FROM lanes l CROSS JOIN LATERAL (
        SELECT id, predicted_s, due_at, order_at FROM jobs WHERE priority = l.priority AND size = l.size
          AND state IN ('queued', 'retrying') AND released_at IS NULL ORDER BY order_at, id LIMIT :farthest
    ) b
), numbered AS (
    SELECT *, due_at <= now() AS due,
        count(*) FILTER (WHERE due_at <= now()) OVER line AS place,
        sum(predicted_s) FILTER (WHERE due_at <= now()) OVER line AS work_s
    FROM looked_at
    WINDOW line AS (PARTITION BY priority, size ORDER BY released_at, order_at, id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
SELECT now() AS now, l.priority, l.size,
    count(*) FILTER (WHERE due) AS waiting, coalesce(sum(predicted_s) FILTER (WHERE due), 0) AS work_s,
    count(*) FILTER (WHERE released_at IS NULL AND id IS NOT NULL) >= :farthest
        OR count(released_at) >= :farthest AS truncated,
    count(released_at) AS released, min(released_at) AS oldest_release,
    coalesce(array_agg(id) FILTER (WHERE due AND id = ANY(:ids)), '{}') AS ids,
    coalesce(array_agg(place - 1) FILTER (WHERE due AND id = ANY(:ids)), '{}') AS ahead,
    coalesce(array_agg(numbered.work_s - predicted_s) FILTER (WHERE due AND id = ANY(:ids)), '{}') AS work_ahead
FROM lanes l LEFT JOIN numbered USING (priority, size) GROUP BY l.priority, l.size
""")

_RUNNING = text("""
SELECT j.priority, j.size, array_agg(j.predicted_s) AS predicted, array_agg(a.started_at) AS started
FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.number = j.attempt
WHERE j.state = 'running' GROUP BY j.priority, j.size
""")

_ATTEMPTS = text("""
SELECT a.job_id, a.started_at, a.ended_at, coalesce(e.spent_s, 0) AS spent_s, coalesce(e.worked_s, 0) AS worked_s
FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS w(id, number)
JOIN attempts a ON a.job_id = w.id AND a.number = w.number
LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM ended_at - started_at))::float8 AS spent_s,
        sum(extract(epoch FROM ended_at - started_at)) FILTER (WHERE outcome = 'interrupted')::float8 AS worked_s
    FROM attempts WHERE job_id = w.id AND number < w.number
) e ON true
""")

_WORKERS = text("""
SELECT id, host, pid, build, slots, lanes, kinds, started_at, beat_at, loop_beat_at, stopping,
    beat_at > now() - CAST(:alive_for AS interval) AS alive
FROM workers ORDER BY started_at
""")

_PAUSES = text("SELECT lane, since, until, reason, by FROM pauses WHERE ended_at IS NULL AND until > now()")

# Steps from group to group over the index, then reads the newest of each. A job that another worker took over after
# its first was lost is left out: the silence in between was not work.
_FINISHED = text("""
WITH RECURSIVE groups AS (
    (SELECT kind, floor(log(GREATEST(predicted_s, 0.001))) AS magnitude FROM jobs
     WHERE state = 'succeeded' AND failures = 0 ORDER BY kind, floor(log(GREATEST(predicted_s, 0.001))) LIMIT 1)
    UNION ALL
    SELECT n.kind, n.magnitude FROM groups g CROSS JOIN LATERAL (
        SELECT kind, floor(log(GREATEST(predicted_s, 0.001))) AS magnitude FROM jobs
        WHERE state = 'succeeded' AND failures = 0
          AND (kind, floor(log(GREATEST(predicted_s, 0.001)))) > (g.kind, g.magnitude)
        ORDER BY kind, floor(log(GREATEST(predicted_s, 0.001))) LIMIT 1
    ) n
)
SELECT g.kind, g.magnitude, array_agg(j.predicted_s) AS predicted, array_agg(w.seconds) AS durations
FROM groups g CROSS JOIN LATERAL (
    SELECT id, predicted_s FROM jobs
    WHERE kind = g.kind AND floor(log(GREATEST(predicted_s, 0.001))) = g.magnitude
      AND state = 'succeeded' AND failures = 0 ORDER BY finished_at DESC LIMIT :most
) j CROSS JOIN LATERAL (
    SELECT sum(extract(epoch FROM ended_at - started_at))::float8 AS seconds FROM attempts
    WHERE job_id = j.id HAVING bool_and(outcome IN ('succeeded', 'interrupted'))
) w GROUP BY g.kind, g.magnitude
""")


@dataclass(frozen=True)
class Queues:
    """The waiting jobs of some lanes, and the places of those asked about, at one moment."""

    now: datetime
    queues: dict[Lane, Queue]
    places: dict[UUID, Place]


async def queues(session: Session, lanes: Iterable[Lane], ids: Sequence[UUID]) -> Queues:
    """Look at the first jobs of lanes, on the runway and behind it in order; gives PostgreSQL's clock with it."""
    asked = sorted(lanes)
    if not asked:
        return Queues((await session.execute(text("SELECT now() AS now"))).one().now, {}, {})
    rows = (
        await session.execute(
            _QUEUES,
            {
                "priorities": [lane.priority for lane in asked],
                "sizes": [lane.size for lane in asked],
                "ids": list(ids),
                "farthest": FARTHEST,
            },
        )
    ).all()
    found = Queues(rows[0].now, {}, {})
    for row in rows:
        lane = Lane(Priority(row.priority), Size(row.size))
        found.queues[lane] = Queue(row.waiting, row.work_s, row.truncated, row.released, row.oldest_release)
        for job_id, ahead, work_s in zip(row.ids, row.ahead, row.work_ahead, strict=True):
            found.places[job_id] = Place(ahead, max(0.0, work_s), at_least=row.released >= FARTHEST)
    return found


async def running(session: Session) -> dict[Lane, tuple[RunningWork, ...]]:
    """List what runs, per lane; there is never more of it than slots."""
    rows = await session.execute(_RUNNING)
    return {
        Lane(Priority(row.priority), Size(row.size)): tuple(map(RunningWork, row.predicted, row.started))
        for row in rows
    }


async def attempts(session: Session, latest: Sequence[tuple[UUID, int]]) -> dict[UUID, Attempt]:
    """Read the latest attempt of jobs, given as (job, its number), with the seconds that earlier ones took."""
    rows = await session.execute(
        _ATTEMPTS, {"ids": [job for job, _ in latest], "numbers": [number for _, number in latest]}
    )
    return {row.job_id: Attempt(row.started_at, row.ended_at, row.spent_s, row.worked_s) for row in rows}


async def workers(session: Session) -> tuple[Worker, ...]:
    """List the registered workers."""
    rows = await session.execute(_WORKERS, {"alive_for": ALIVE_FOR})
    return tuple(
        Worker(**{**row, "lanes": tuple(row["lanes"]), "kinds": tuple(row["kinds"])}) for row in rows.mappings()
    )


async def pauses(session: Session) -> dict[str, Pause]:
    """List the pauses that hold now, by lane."""
    return {
        row.lane: Pause(row.lane, row.since, row.until, row.reason, row.by) for row in await session.execute(_PAUSES)
    }


async def finished(session: Session) -> list[Group]:
    """Read how long the last finished jobs of every kind and magnitude took."""
    rows = await session.execute(_FINISHED, {"most": MOST_SIMILAR})
    return [Group(row.kind, int(row.magnitude), tuple(row.predicted), tuple(row.durations)) for row in rows]
