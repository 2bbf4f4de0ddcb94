"""An attempt in the ledger: claimed, kept alive, checkpointed, settled; each write is fenced by its number."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import from_json, to_json
from sqlalchemy import text

from invoicing.jobs.model import Claim, Priority, Progress, Settlement, Size
from invoicing.jobs.store.channels import OUTGROWN, ROOM, TOLD_JOBS, told_backlog
from invoicing.kit.db import Session

SMALL_BODY = 8_192
"""A request up to this size goes to the child with its claim (bytes): it has nothing to ask for before it begins."""

# Not waiting for the disk is safe: the log is written in order, so whatever the attempt commits next makes its claim
# durable too; and a claim that is lost with its server leaves a job that waits, as its worker learns when it renews.
# `IS TRUE`, here and below, keeps the planner from the small indexes of what waits or runs: after a quiet night it
# takes them for empty, and then reads all of them for each job.
# Locked by id before anything is changed: else two workers that found the same tickets, or one and somebody who pauses
# the lane, may each hold what the other waits for.
_CLAIM = f"""
WITH relaxed AS (SELECT set_config('synchronous_commit', 'off', true)
), wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::int[]) WITH ORDINALITY AS w(id, attempt, place)
), free AS MATERIALIZED (
    SELECT jobs.id, wanted.attempt, wanted.place FROM wanted JOIN jobs ON jobs.id = wanted.id
    WHERE jobs.attempt = wanted.attempt - 1
      AND (state IN ('queued', 'retrying') AND released_at IS NOT NULL) IS TRUE
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs
), changed AS (
    UPDATE jobs SET state = 'running', attempt = free.attempt, revision = revision + 1, worker_id = $3,
        lease_until = now() + $4::interval, started_at = coalesce(started_at, now()), released_at = NULL,
        expedited_at = NULL, parked_at = NULL
    FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, customer_id, kind, reference, jobs.attempt, failures, priority, size, predicted_s,
        needs, cancel_requested_at IS NOT NULL AS cancel_requested, worker_id, revision, free.place
), begun AS (
    INSERT INTO attempts (job_id, number, worker_id) SELECT id, attempt, worker_id FROM changed
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt)
    SELECT id, revision, 'started', 'running', attempt FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS ({ROOM})
SELECT changed.*,
    (
        SELECT body FROM payload_parts WHERE job_id = changed.id AND part = 0 AND octet_length(body) <= {SMALL_BODY}
    ) AS body,
    EXISTS (SELECT FROM payload_parts WHERE job_id = changed.id AND part > 0) AS split,
    CASE WHEN attempt > 1 THEN (SELECT state::text FROM checkpoints WHERE job_id = changed.id) END AS saved
FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true LEFT JOIN relaxed ON true ORDER BY place
"""

# What has begun to be a fact in the world must be ended: a numbered invoice that died would be a gap in its series.
_GOES_ON = "(ended.state = 'dead' AND irrevocable)"
_WAITS = f"(ended.state IN ('queued', 'retrying') OR {_GOES_ON})"

_SETTLE = f"""
WITH ended AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::int[], $3::text[], $4::text[], $5::int[], $6::interval[],
        $7::text[], $8::text[], $9::text[], $10::text[], $11::interval[], $12::interval[]
    ) AS e(id, attempt, state, event, failures, due_in, result, error, size, data, order_delay, took)
), changed AS (
    UPDATE jobs SET revision = revision + 1, failures = ended.failures,
        state = CASE WHEN {_WAITS} AND cancel_requested_at IS NOT NULL THEN 'cancelled'
                     WHEN {_GOES_ON} THEN 'retrying' ELSE ended.state END,
        due_at = CASE WHEN {_WAITS} THEN now() + ended.due_in ELSE due_at END,
        order_at = CASE WHEN ended.state = 'retrying' OR {_GOES_ON} THEN greatest(order_at, now() + ended.due_in)
                        WHEN ended.event = 'parked' THEN greatest(order_at, now() + ended.order_delay)
                        ELSE order_at END,
        parked_at = CASE WHEN ended.event = 'parked' AND cancel_requested_at IS NULL THEN now() END,
        size = coalesce(ended.size, jobs.size), result = ended.result::jsonb, error = ended.error::jsonb,
        finished_at = CASE WHEN NOT {_WAITS} OR cancel_requested_at IS NOT NULL THEN now() END,
        lease_until = NULL, worker_id = NULL, released_at = NULL
    FROM ended
    WHERE jobs.id = ended.id AND jobs.attempt = ended.attempt AND (jobs.state = 'running') IS TRUE
    RETURNING jobs.id, jobs.revision, jobs.attempt, jobs.state, jobs.customer_id, jobs.key_id, jobs.priority, jobs.size,
        jobs.needs, jobs.due_at, ended.error, ended.data, ended.took,
        CASE WHEN ended.state = 'dead' AND jobs.state <> 'dead' THEN 'retrying' ELSE ended.event END AS outcome,
        CASE WHEN jobs.state IN ('cancelled', 'retrying') THEN jobs.state ELSE ended.event END AS event
), closed AS (
    UPDATE attempts SET ended_at = now(), error = changed.error::jsonb,
        started_at = greatest(started_at, now() - changed.took),
        outcome = CASE changed.outcome WHEN 'parked' THEN 'interrupted' ELSE changed.outcome END
    FROM changed WHERE attempts.job_id = changed.id AND attempts.number = changed.attempt
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, event, state, attempt, data::jsonb FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS (
    {told_backlog("changed", "state IN ('queued', 'retrying') AND due_at <= now()")}
)
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
"""

_FENCE = text("""
SELECT cancel_requested_at IS NOT NULL AS cancel_requested FROM jobs
WHERE id = :id AND attempt = :attempt AND state = 'running' FOR NO KEY UPDATE
""")

_IRREVOCABLE = text("UPDATE jobs SET irrevocable = true WHERE id = :id AND state = 'running'")

_PROGRESS = text(f"""
WITH changed AS (
    UPDATE jobs SET progress_done = :done, progress_total = :total, progress_unit = :unit, progressed_at = now(),
        revision = revision + 1
    WHERE id = :id AND attempt = :attempt AND state = 'running' RETURNING id, revision, attempt
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'progressed', 'running', attempt, CAST(:data AS jsonb) FROM changed
), followers AS ({TOLD_JOBS})
SELECT id FROM changed LEFT JOIN followers ON true
""")

_CHECKPOINT = text("""
INSERT INTO checkpoints (job_id, attempt, state) VALUES (:id, :attempt, CAST(:state AS jsonb))
ON CONFLICT (job_id) DO UPDATE SET attempt = excluded.attempt, state = excluded.state, at = now()
""")

# A row that a step of its own attempt has locked is passed over: it must not hold up the leases of the others, and
# cannot be rescued meanwhile.
_RENEW = """
WITH mine AS (
    SELECT jobs.id, jobs.attempt, cancel_requested_at IS NOT NULL AS cancel_requested
    FROM jobs JOIN unnest($2::uuid[], $3::int[]) AS a(id, attempt) ON jobs.id = a.id AND jobs.attempt = a.attempt
    WHERE worker_id = $1 AND state = 'running'
), free AS (
    SELECT jobs.id FROM jobs JOIN mine ON jobs.id = mine.id AND jobs.attempt = mine.attempt
    WHERE state = 'running' FOR NO KEY UPDATE OF jobs SKIP LOCKED
), renewed AS (
    UPDATE jobs SET lease_until = now() + $4::interval FROM free WHERE jobs.id = free.id
), returned AS (
    UPDATE losses SET returned_at = now() WHERE worker_id = $1 AND returned_at IS NULL
)
SELECT id, attempt, cancel_requested FROM mine
"""

_RECLASS = text(f"""
WITH changed AS (
    UPDATE jobs SET size = :size, revision = revision + 1
    WHERE id = :id AND attempt = :attempt AND state = 'running' AND size <> :size RETURNING id, revision, attempt
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'reclassed', 'running', attempt, jsonb_build_object('size', CAST(:size AS text)) FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS ({ROOM}), learner AS (
    SELECT pg_notify('{OUTGROWN}', id::text) FROM changed
)
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true LEFT JOIN learner ON true
""")

_ASIDE = text(f"""
WITH changed AS (
    UPDATE jobs SET parked_at = CASE WHEN CAST(:aside AS boolean) THEN now() END, revision = revision + 1
    WHERE id = :id AND attempt = :attempt AND state = 'running' RETURNING id
), followers AS ({TOLD_JOBS}), dispatcher AS ({ROOM})
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
""")


async def claim(
    connection: "asyncpg.Connection[Any]", worker_id: UUID, tickets: Sequence[tuple[UUID, int]], lease: timedelta
) -> list[Claim]:
    """Take the lease on released jobs, in the order given; those that moved on, or that another has, are left out."""
    rows = await connection.fetch(
        _CLAIM, [job for job, _ in tickets], [attempt for _, attempt in tickets], worker_id, lease
    )
    return [
        Claim(
            id=row["id"],
            customer_id=row["customer_id"],
            kind=row["kind"],
            reference=row["reference"],
            attempt=row["attempt"],
            failures=row["failures"],
            priority=Priority(row["priority"]),
            size=Size(row["size"]),
            predicted_s=row["predicted_s"],
            cancel_requested=row["cancel_requested"],
            needs=row["needs"],
            body=row["body"],
            split=row["split"],
            saved=None if row["saved"] is None else from_json(row["saved"]),
        )
        for row in rows
    ]


async def settle(connection: "asyncpg.Connection[Any]", ended: Sequence[Settlement]) -> set[UUID]:
    """End attempts that are still the current ones; gives the jobs that were settled, without the late finishers."""
    verdicts = [settlement.verdict for settlement in ended]
    rows = await connection.fetch(
        _SETTLE,
        [settlement.job_id for settlement in ended],
        [settlement.attempt for settlement in ended],
        [verdict.state for verdict in verdicts],
        [verdict.event for verdict in verdicts],
        [verdict.failures for verdict in verdicts],
        [verdict.due_in for verdict in verdicts],
        [None if verdict.result is None else to_json(verdict.result).decode() for verdict in verdicts],
        [None if verdict.error is None else to_json(verdict.error.as_json()).decode() for verdict in verdicts],
        [verdict.size for verdict in verdicts],
        [to_json(verdict.told()).decode() for verdict in verdicts],
        [settlement.order_delay for settlement in ended],
        [settlement.took for settlement in ended],
    )
    return {row["id"] for row in rows}


async def fence(session: Session, job_id: UUID, attempt: int) -> bool | None:
    """Lock the row of a current attempt; tells whether cancelling was asked for, None when the attempt is over."""
    cancel_requested: bool | None = await session.scalar(_FENCE, {"id": job_id, "attempt": attempt})
    return cancel_requested


async def make_irrevocable(session: Session, job_id: UUID) -> None:
    """Refuse to cancel a running job from here on: its outcome has begun to be a fact in the world."""
    await session.execute(_IRREVOCABLE, {"id": job_id})


async def write_progress(session: Session, job_id: UUID, attempt: int, progress: Progress) -> None:
    """Write how far a current attempt is, with a timeline row."""
    data = {"done": progress.done, "total": progress.total, "unit": progress.unit}
    await session.execute(_PROGRESS, {"id": job_id, "attempt": attempt, **data, "data": to_json(data).decode()})


async def write_checkpoint(session: Session, job_id: UUID, attempt: int, state: Mapping[str, Any]) -> None:
    """Keep what a later attempt needs to go on from here."""
    await session.execute(_CHECKPOINT, {"id": job_id, "attempt": attempt, "state": to_json(state).decode()})


async def renew(
    connection: "asyncpg.Connection[Any]", worker_id: UUID, attempts: Collection[tuple[UUID, int]], lease: timedelta
) -> dict[tuple[UUID, int], bool]:
    """Extend the leases of a worker's attempts in one statement; gives those it still has, and who must cancel.

    Only what the worker knows of is extended: a claim whose answer got lost on the way runs out and is rescued. What
    was taken from the worker before is marked as lost by one that lives: it was only cut off.
    """
    rows = await connection.fetch(
        _RENEW, worker_id, [job for job, _ in attempts], [attempt for _, attempt in attempts], lease
    )
    return {(row["id"], row["attempt"]): row["cancel_requested"] for row in rows}


async def reclass(session: Session, job_id: UUID, attempt: int, size: Size) -> bool:
    """Move a running job to another size class, without losing any of its work."""
    return await session.scalar(_RECLASS, {"id": job_id, "attempt": attempt, "size": size}) is not None


async def set_aside(session: Session, job_id: UUID, attempt: int, *, aside: bool) -> bool:
    """Write that a running attempt holds no slot from now on, or holds one again; False when it is over."""
    return await session.scalar(_ASIDE, {"id": job_id, "attempt": attempt, "aside": aside}) is not None
