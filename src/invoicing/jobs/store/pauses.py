"""Statements about pauses of single jobs: our staff stop one until a time, and it goes on by itself or earlier.

A paused job is held: out of the dispatcher's sight, off the runway, and counted as waiting by nobody. Its place in the
fair order stays. What there is to let go is looked for here once for all holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.jobs.model import Job
from invoicing.jobs.store.acts import Signed
from invoicing.jobs.store.channels import TOLD_JOBS, told_backlog
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session

# What is released this moment locks the job before, or finds it held: there is no gate to close as for a whole lane.
_PAUSE = text(f"""
WITH changed AS (
    UPDATE jobs SET held = true, revision = revision + 1, released_at = NULL
    WHERE id = :id AND state IN ('queued', 'retrying') AND (NOT held OR EXISTS (
        SELECT FROM holds WHERE job_id = :id AND reason IS NOT NULL
          AND (due, reason, message) IS DISTINCT FROM
              (CAST(:until AS timestamptz), CAST(:reason AS text), CAST(:message AS text))
    ))
    RETURNING id, revision, state, attempt, customer_id, key_id, priority, size, needs
), kept AS (
    INSERT INTO holds (job_id, due, reason, message, by)
    SELECT id, CAST(:until AS timestamptz), CAST(:reason AS text), CAST(:message AS text), CAST(:by AS text)
    FROM changed
    ON CONFLICT (job_id) DO UPDATE
    SET due = excluded.due, reason = excluded.reason, message = excluded.message, by = excluded.by
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'paused', state, attempt, CAST(:data AS jsonb) FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS ({told_backlog("changed", "true")})
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
""")

# It waits from now on, and is due no earlier; `order_at` is what keeps its place.
_GOES_ON = f"""
changed AS (
    UPDATE jobs SET held = false, revision = revision + 1, due_at = greatest(due_at, now())
    FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, revision, state, attempt, customer_id, key_id, priority, size, needs, due_at
), over AS (
    DELETE FROM holds USING changed WHERE job_id = changed.id
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'resumed', state, attempt, CAST(:data AS jsonb) FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS ({told_backlog("changed", "due_at <= now()")})
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
"""

_RESUME = text(f"""
WITH free AS (
    SELECT id FROM jobs JOIN holds ON job_id = id WHERE id = :id AND held AND holds.reason IS NOT NULL
), {_GOES_ON}
""")

# Both rows are locked, so that one whose time was changed this moment is seen as it is then.
_RESUME_OVER = text(f"""
WITH free AS MATERIALIZED (
    SELECT id FROM holds JOIN jobs ON id = job_id WHERE holds.reason IS NOT NULL AND holds.due <= now() AND held
    ORDER BY holds.due, job_id LIMIT :most FOR NO KEY UPDATE OF jobs, holds SKIP LOCKED
), {_GOES_ON}
""")

_PAUSED = text("SELECT EXISTS (SELECT FROM holds WHERE job_id = :id AND reason IS NOT NULL)")

_TO_LET_GO = text("""
SELECT ARRAY(
    SELECT id FROM quotas WHERE waiting > 0 AND (most IS NULL OR used < most OR ends_at <= now())
) AS quotas, EXISTS (SELECT FROM holds WHERE reason IS NOT NULL AND due <= now()) AS pauses
""")


@dataclass(frozen=True)
class ToLetGo:
    """What may let jobs go now."""

    quotas: list[UUID]
    """Those for which somebody waits and that have a place, or begin anew."""
    pauses: bool
    """Whether the time of any pause is over."""


async def to_let_go(session: Session) -> ToLetGo:
    """Look what there is to let go, each by its index."""
    row = (await session.execute(_TO_LET_GO)).one()
    return ToLetGo(row.quotas, row.pauses)


async def paused(session: Session, job_id: UUID) -> bool:
    """Tell whether it is a pause that holds a job."""
    return bool(await session.scalar(_PAUSED, {"id": job_id}))


async def pause(session: Session, job: Job, signed: Signed, until: datetime, message: str | None) -> bool:
    """Hold a waiting job until a time, or change its pause; False when it does not wait, or nothing is otherwise."""
    told = {"until": rfc3339(until), "message": message}
    values = {"id": job.id, "until": until, "reason": signed.reason, "message": message, "by": signed.actor}
    return (await session.execute(_PAUSE, {**values, "data": _signed(signed, told)})).one_or_none() is not None


async def resume(session: Session, job: Job, signed: Signed) -> bool:
    """Let a paused job go on before its time; False when it is not paused."""
    return (await session.execute(_RESUME, {"id": job.id, "data": _signed(signed, {})})).one_or_none() is not None


async def resume_over(session: Session, most: int) -> int:
    """Let the first jobs go on whose pause is over; gives how many. What somebody changes now goes the next time."""
    return len((await session.execute(_RESUME_OVER, {"most": most, "data": "{}"})).all())


def _signed(signed: Signed, more: Mapping[str, Any]) -> str:
    return to_json({"by": signed.role, "staff": {"actor": signed.actor, "reason": signed.reason}, **more}).decode()
