"""Running jobs whose lease is over: found, taken from their workers, and what is known of those workers kept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from pydantic_core import to_json
from sqlalchemy import text

from invoicing.jobs.model import Verdict
from invoicing.jobs.model.losses import POISON, Death, Lost, Watch
from invoicing.jobs.store.channels import TOLD_JOBS, told_backlog
from invoicing.kit.db import Session

MOST_AT_ONCE = 500
"""Jobs rescued in one transaction."""

_MOST_BESIDE = 20
"""Other jobs of a dead worker that are named: enough to see whether it was this one."""

_COUNTED = "returned_at IS NULL AND forgiven_at IS NULL"

# What somebody has locked is passed over: it is being settled, or is in a step of its own, this moment.
_LOST = f"""
SELECT id, kind, attempt, failures, worker_id, lease_until, irrevocable, now() AS now,
    cancel_requested_at IS NOT NULL AS cancel_requested,
    ARRAY(SELECT attempt FROM losses WHERE job_id = jobs.id AND {_COUNTED} ORDER BY attempt) AS deaths
FROM jobs WHERE state = 'running' AND lease_until < now() AND (lease_until, id) > ($1, $2)
ORDER BY lease_until, id LIMIT {MOST_AT_ONCE} FOR UPDATE OF jobs SKIP LOCKED
"""

_RESCUE = f"""
WITH ended AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::int[], $3::text[], $4::text[], $5::interval[], $6::text[], $7::text[], $8::text[],
        $9::timestamptz[], $10::uuid[]
    ) AS e(id, attempt, state, event, due_in, error, data, host, heard_at, had_it)
), changed AS (
    UPDATE jobs SET revision = revision + 1, state = ended.state, error = coalesce(ended.error::jsonb, jobs.error),
        due_at = CASE ended.state WHEN 'retrying' THEN now() + ended.due_in ELSE due_at END,
        order_at = CASE ended.state WHEN 'retrying' THEN greatest(order_at, now() + ended.due_in) ELSE order_at END,
        finished_at = CASE WHEN ended.state IN ('dead', 'cancelled') THEN now() END,
        lease_until = NULL, worker_id = NULL, released_at = NULL
    FROM ended
    WHERE jobs.id = ended.id AND jobs.attempt = ended.attempt AND jobs.state = 'running'
    RETURNING jobs.id, jobs.revision, jobs.attempt, jobs.state, jobs.customer_id, jobs.key_id, jobs.priority, jobs.size,
        jobs.needs, jobs.due_at, ended.event, ended.data, ended.host, ended.heard_at, ended.had_it
), closed AS (
    UPDATE attempts SET ended_at = now(), outcome = 'lost' FROM changed
    WHERE attempts.job_id = changed.id AND attempts.number = changed.attempt
), noted AS (
    INSERT INTO losses (job_id, attempt, worker_id, host, heard_at) SELECT id, attempt, had_it, host, heard_at
    FROM changed
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, event, state, attempt, data::jsonb FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS (
    {told_backlog("changed", "state IN ('queued', 'retrying') AND due_at <= now()")}
)
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
"""

_DEATHS = f"""
SELECT job_id, attempt, worker_id, host, heard_at, lost_at FROM losses
WHERE job_id = ANY($1::uuid[]) AND {_COUNTED} ORDER BY job_id, attempt
"""

# Jobs of a worker run out of lease together, so most of them were lost before; some may still wait for the proof.
_BESIDE = f"""
SELECT w.id AS worker_id, o.job_id, o.attempt, o.kind FROM unnest($1::uuid[]) AS w(id) CROSS JOIN LATERAL (
    (SELECT l.job_id, l.attempt, j.kind FROM losses l JOIN jobs j ON j.id = l.job_id
     WHERE l.worker_id = w.id AND l.returned_at IS NULL LIMIT {_MOST_BESIDE + 1})
    UNION ALL
    (SELECT id, attempt, kind FROM jobs WHERE state = 'running' AND worker_id = w.id LIMIT {_MOST_BESIDE + 1})
) o
"""

_FORGIVE = text("UPDATE losses SET forgiven_at = now() WHERE job_id = :id AND forgiven_at IS NULL")

_QUARANTINED = text("""
SELECT j.id, j.kind, j.finished_at, l.attempt, l.host, l.lost_at, l.returned_at
FROM losses l JOIN jobs j ON j.id = l.job_id
WHERE l.forgiven_at IS NULL AND j.state = 'dead' AND j.error ->> 'code' = :code
ORDER BY j.finished_at DESC, j.id, l.attempt LIMIT :most
""")

Start = tuple[datetime, UUID]
"""Where a batch ended: the next one begins behind it."""


class Quarantined(NamedTuple):
    """A job under quarantine with one of its losses."""

    job_id: UUID
    kind: str
    since: datetime
    attempt: int
    host: str | None
    lost_at: datetime
    returned_at: datetime | None
    """When its worker was heard of again after all."""


async def lost(connection: "asyncpg.Connection[Any]", after: Start) -> tuple[datetime | None, list[Lost]]:
    """Lock jobs whose lease is over, the longest over first; gives PostgreSQL's clock with them."""
    rows = await connection.fetch(_LOST, *after)
    found = [
        Lost(
            row["id"],
            row["kind"],
            row["attempt"],
            row["failures"],
            row["worker_id"],
            row["lease_until"],
            row["irrevocable"],
            row["cancel_requested"],
            tuple(row["deaths"]),
        )
        for row in rows
    ]
    return (rows[0]["now"] if rows else None), found


async def deaths(
    connection: "asyncpg.Connection[Any]", poisoned: Sequence[Lost], watch: Watch, now: datetime
) -> dict[UUID, list[Death]]:
    """Gather what is known of the workers that died on jobs, the last one included."""
    rows = await connection.fetch(_DEATHS, [one.job_id for one in poisoned])
    known = [(r["job_id"], r["attempt"], r["worker_id"], r["host"], r["heard_at"], r["lost_at"]) for r in rows]
    for one in poisoned:
        sign = watch.signs.get(one.worker_id)
        last = (None, None) if sign is None else (sign.host, sign.heard_at)
        known.append((one.job_id, one.attempt, one.worker_id, *last, now))
    beside: dict[UUID, list[tuple[UUID, int, str]]] = {}
    for row in await connection.fetch(_BESIDE, list({worker for _, _, worker, *_ in known})):
        beside.setdefault(row["worker_id"], []).append((row["job_id"], row["attempt"], row["kind"]))
    found: dict[UUID, list[Death]] = {}
    for job, attempt, worker, host, heard_at, lost_at in known:
        others = [other for other in beside.get(worker, ()) if other[0] != job][:_MOST_BESIDE]
        found.setdefault(job, []).append(Death(attempt, worker, host, heard_at, lost_at, others))
    return found


async def write(
    connection: "asyncpg.Connection[Any]", judged: Sequence[tuple[Lost, Verdict, dict[str, object]]], watch: Watch
) -> set[UUID]:
    """End lost attempts as they were judged, each with the data of its timeline row; gives the jobs changed."""
    signs = [watch.signs.get(one.worker_id) for one, _, _ in judged]
    rows = await connection.fetch(
        _RESCUE,
        [one.job_id for one, _, _ in judged],
        [one.attempt for one, _, _ in judged],
        [verdict.state for _, verdict, _ in judged],
        [verdict.event for _, verdict, _ in judged],
        [verdict.due_in for _, verdict, _ in judged],
        [None if verdict.error is None else to_json(verdict.error.as_json()).decode() for _, verdict, _ in judged],
        [to_json(data).decode() for _, _, data in judged],
        [None if sign is None else sign.host for sign in signs],
        [None if sign is None else sign.heard_at for sign in signs],
        [one.worker_id for one, _, _ in judged],
    )
    return {row["id"] for row in rows}


async def forgive(session: Session, job_id: UUID) -> None:
    """Count the deaths of workers on a job no more: our staff have it tried again."""
    await session.execute(_FORGIVE, {"id": job_id})


async def quarantined(session: Session, most: int = 100) -> list[Quarantined]:
    """List jobs under quarantine with their losses, the last one first."""
    rows = await session.execute(_QUARANTINED, {"code": POISON, "most": most})
    return [Quarantined(*row) for row in rows]
