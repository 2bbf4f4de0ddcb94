"""The facts, read set-wise: a fixed number of statements, each on an index and none further than a bound.

These statements read what other rooms own, and write nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from invoicing.customers.model import CustomerPause
from invoicing.diagnosis.model.censored import Running
from invoicing.diagnosis.model.durations import MOST_SIMILAR, Group
from invoicing.diagnosis.model.facts import Attempt, RunningWork, Ticket, Undelivered
from invoicing.jobs.model import Priority, Size
from invoicing.jobs.model.holds import AwaitingQuota, Hold, InReview, JobPause, Period, Quota
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane, Pause, Worker
from invoicing.lanes.model.workers import ALIVE_SHARE

MOST_COUNTED = 1_000
"""Jobs before one that waits for a place of a quota which are counted."""

_UNDER_WAY = text("""
SELECT now() AS now, dispatching.looked_at, u.* FROM (SELECT 1) AS always LEFT JOIN dispatching ON true LEFT JOIN (
    SELECT j.id, j.customer_id, j.priority, j.size, j.predicted_s, a.started_at, NULL::timestamptz AS released_at,
        j.worker_id
    FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.number = j.attempt WHERE j.state = 'running'
    UNION ALL
    SELECT id, customer_id, priority, size, predicted_s, NULL, released_at, NULL FROM jobs
    WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL
) u ON true
""")

_CAPS = text("SELECT id, max_running FROM customers WHERE id = ANY(CAST(:ids AS uuid[])) AND max_running IS NOT NULL")

# One that was lost was at work until its worker was heard of last: nothing was done while it was missed.
_ATTEMPTS = text("""
SELECT a.job_id, a.started_at, a.ended_at, coalesce(e.spent_s, 0) AS spent_s, coalesce(e.worked_s, 0) AS worked_s
FROM unnest(CAST(:ids AS uuid[]), CAST(:numbers AS int[])) AS w(id, number)
JOIN attempts a ON a.job_id = w.id AND a.number = w.number
LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM greatest(b.started_at, least(b.ended_at, l.heard_at)) - b.started_at))::float8
            AS spent_s,
        sum(extract(epoch FROM b.ended_at - b.started_at)) FILTER (WHERE b.outcome = 'interrupted')::float8 AS worked_s
    FROM attempts b LEFT JOIN losses l ON l.job_id = b.job_id AND l.attempt = b.number
    WHERE b.job_id = w.id AND b.number < w.number
) e ON true
""")

_WORKERS = text("""
SELECT id, host, pid, build, slots, lanes, kinds, started_at, beat_at, loop_beat_at, stopping, lease_s,
    beat_at > now() - lease_s * CAST(:alive_share AS interval) AS alive
FROM workers ORDER BY started_at
""")

_PAUSES = text("""
SELECT lane, NULL::uuid AS customer_id, since, until, reason, by, maintenance_id FROM pauses
WHERE ended_at IS NULL AND until > now()
UNION ALL
SELECT NULL, customer_id, since, until, reason, by, NULL FROM customer_pauses WHERE ended_at IS NULL AND until > now()
""")

# Of each message of the jobs: whether it was tried in vain, given up, or its endpoint takes nothing at the moment.
_UNDELIVERED = text("""
SELECT m.job_id, m.endpoint_id, m.created_at, m.attempts, m.gives_up_at, tried.status,
    e.disabled_at IS NOT NULL AS disabled,
    CASE WHEN m.state = 'waiting' AND e.disabled_at IS NULL THEN greatest(m.due_at, e.open_until) END AS next_try_at
FROM messages m JOIN endpoints e ON e.id = m.endpoint_id
LEFT JOIN LATERAL (
    SELECT status, outcome FROM delivery_attempts WHERE message_id = m.id AND outcome IS NOT NULL
    ORDER BY number DESC LIMIT 1
) AS tried ON true
WHERE m.job_id = ANY(CAST(:ids AS uuid[])) AND m.state <> 'delivered' AND e.removed_at IS NULL
    AND (m.state = 'dead' OR tried.outcome IS NOT NULL OR e.disabled_at IS NOT NULL OR e.open_until > now())
ORDER BY m.job_id, m.seq DESC
""")

# Of those that wait for a place, how many of the first wait before them; farther behind it is not counted.
_HOLDS = text("""
WITH asked AS (
    SELECT * FROM holds WHERE job_id = ANY(CAST(:ids AS uuid[]))
), line AS (
    SELECT first.job_id, first.ahead FROM (
        SELECT DISTINCT quota_id FROM asked WHERE quota_id IS NOT NULL
    ) AS quota CROSS JOIN LATERAL (
        SELECT job_id, row_number() OVER (ORDER BY since, job_id) - 1 AS ahead FROM (
            SELECT since, job_id FROM holds WHERE quota_id = quota.quota_id ORDER BY since, job_id LIMIT :most
        ) AS counted
    ) AS first
)
SELECT h.job_id, h.since, h.due, h.measure, h.threshold, h.value, h.reason IS NOT NULL AS paused, h.message,
    split_part(h.by, chr(58), 1) AS by, line.ahead, now() AS now,
    q.id, q.customer_id, q.kind, q.most, q.period, q.zone, q.begun_at, q.used, q.waiting
FROM asked h LEFT JOIN quotas q ON q.id = h.quota_id LEFT JOIN line ON line.job_id = h.job_id
WHERE h.quota_id IS NULL OR q.id IS NOT NULL
""")

_QUOTA = text("SELECT *, now() AS now FROM quotas WHERE id = :id AND most IS NOT NULL")

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

# As with finished ones: work that was kept counts, and a job that had to be taken over or failed says nothing.
_RUNNING = text("""
SELECT j.id, j.kind, j.predicted_s, coalesce(e.worked_s, 0) + extract(epoch FROM now() - a.started_at)::float8 AS
    worked_s, extract(epoch FROM now() - greatest(a.started_at, j.progressed_at))::float8 AS silent_s,
    CASE WHEN j.progressed_at >= a.started_at THEN extract(epoch FROM j.progressed_at - a.started_at)::float8
        / greatest(1, j.revision - 2 * j.attempt - 1 - j.updates) END AS gap_s
FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.number = j.attempt
LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM ended_at - started_at))::float8 AS worked_s,
        bool_and(outcome = 'interrupted') AS kept
    FROM attempts WHERE job_id = j.id AND number < j.attempt
) e ON true
WHERE j.state = 'running' AND j.lease_until > now() AND j.cancel_requested_at IS NULL AND e.kept IS NOT FALSE
""")


class Runs(NamedTuple):
    """A job that runs, and how long it has been silent."""

    job: Running
    silent_s: float
    gap_s: float | None
    """Between its reports of progress; None before the first."""


class Pauses(NamedTuple):
    """The pauses that hold, by lane and by customer."""

    lanes: dict[str, Pause]
    customers: dict[UUID, CustomerPause]


@dataclass(frozen=True)
class UnderWay:
    """What runs, and what is on the runway about to, by lane, at one moment; there is never more of it than slots."""

    now: datetime
    running: dict[Lane, tuple[RunningWork, ...]]
    runways: dict[Lane, tuple[Ticket, ...]]
    dispatched_at: datetime | None
    """When the backlog was last looked at."""


async def under_way(session: Session) -> UnderWay:
    """Read what runs and what is about to; gives PostgreSQL's clock with it."""
    rows = (await session.execute(_UNDER_WAY)).all()
    running: dict[Lane, list[RunningWork]] = {}
    runways: dict[Lane, list[Ticket]] = {}
    for row in rows:
        if row.id is None:
            continue
        lane = Lane(Priority(row.priority), Size(row.size))
        if row.released_at is None:
            work = RunningWork(row.predicted_s, row.started_at, row.id, row.customer_id, row.worker_id)
            running.setdefault(lane, []).append(work)
        else:
            runways.setdefault(lane, []).append(Ticket(row.id, row.customer_id, row.released_at))
    return UnderWay(
        rows[0].now,
        {lane: tuple(found) for lane, found in running.items()},
        {lane: tuple(found) for lane, found in runways.items()},
        rows[0].looked_at,
    )


async def clock(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    moment: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    return moment


async def caps(session: Session, customer_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Read how many jobs of customers may run, of those where that is limited."""
    return {row.id: row.max_running for row in await session.execute(_CAPS, {"ids": list(customer_ids)})}


async def attempts(session: Session, latest: Sequence[tuple[UUID, int]]) -> dict[UUID, Attempt]:
    """Read the latest attempt of jobs, given as (job, its number), with the seconds that earlier ones took."""
    rows = await session.execute(
        _ATTEMPTS, {"ids": [job for job, _ in latest], "numbers": [number for _, number in latest]}
    )
    return {row.job_id: Attempt(row.started_at, row.ended_at, row.spent_s, row.worked_s) for row in rows}


async def undelivered(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, tuple[Undelivered, ...]]:
    """Read what endpoints of customers have not taken of what was to tell them of jobs."""
    found: dict[UUID, tuple[Undelivered, ...]] = {}
    for row in await session.execute(_UNDELIVERED, {"ids": list(job_ids)}):
        one = Undelivered(
            endpoint_id=row.endpoint_id,
            since=row.created_at,
            attempts=row.attempts,
            status=row.status,
            next_try_at=row.next_try_at,
            gives_up_at=row.gives_up_at,
            disabled=row.disabled,
        )
        found[row.job_id] = (*found.get(row.job_id, ()), one)
    return found


async def holds(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, Hold]:
    """Read what holds jobs before they may run; those that nothing holds any more are left out."""
    rows = await session.execute(_HOLDS, {"ids": list(job_ids), "most": MOST_COUNTED})
    return {row["job_id"]: _hold(row) for row in rows.mappings()}


def _hold(row: RowMapping) -> Hold:
    if row["paused"]:
        return JobPause(row["since"], row["due"], row["by"], row["message"])
    if row["due"] is not None:
        return InReview(row["since"], row["due"], row["measure"], row["threshold"], row["value"])
    ahead = row["ahead"]
    return AwaitingQuota(row["since"], _quota(row), MOST_COUNTED if ahead is None else ahead, at_least=ahead is None)


async def quota(session: Session, quota_id: UUID) -> Quota | None:
    """Read a quota as it is now; None where it has ended."""
    row = (await session.execute(_QUOTA, {"id": quota_id})).mappings().one_or_none()
    return None if row is None else _quota(row)


def _quota(row: RowMapping) -> Quota:
    named = {name: row[name] for name in ("id", "customer_id", "kind", "most", "zone", "begun_at", "used", "waiting")}
    return Quota(**named, period=Period(row["period"])).at(row["now"])


async def workers(session: Session) -> tuple[Worker, ...]:
    """List the registered workers."""
    rows = await session.execute(_WORKERS, {"alive_share": timedelta(seconds=ALIVE_SHARE)})
    return tuple(
        Worker(**{**row, "lanes": tuple(row["lanes"]), "kinds": tuple(row["kinds"])}) for row in rows.mappings()
    )


async def pauses(session: Session) -> Pauses:
    """List the pauses that hold now."""
    found = Pauses({}, {})
    for row in await session.execute(_PAUSES):
        said = (row.since, row.until, row.reason, row.by)
        if row.customer_id is None:
            found.lanes[row.lane] = Pause(row.lane, *said, row.maintenance_id)
        else:
            found.customers[row.customer_id] = CustomerPause(row.customer_id, *said)
    return found


async def finished(session: Session) -> list[Group]:
    """Read how long the last finished jobs of every kind and magnitude took."""
    rows = await session.execute(_FINISHED, {"most": MOST_SIMILAR})
    return [Group(row.kind, int(row.magnitude), tuple(row.predicted), tuple(row.durations)) for row in rows]


async def running(session: Session) -> list[Runs]:
    """Read how long jobs have been worked on that run; there are never more than slots."""
    return [
        Runs(Running(row.id, row.kind, row.predicted_s, row.worked_s), row.silent_s, row.gap_s)
        for row in await session.execute(_RUNNING)
    ]
