"""Acts of our staff on one job: put before the fair order, moved to another lane, tried again.

Each statement changes the job only in the states that it names, leaves a timeline row whose `staff` part customers are
not shown, and wakes the dispatcher with the commit. A job that is on the runway goes back to the backlog where its
lane changes: its old ticket then claims nothing until it is released anew.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import TextClause, select, text

from invoicing.jobs.model import Event, Job, Priority, Size, State
from invoicing.jobs.store.channels import BACKLOG, TOLD_JOBS
from invoicing.jobs.store.read import job_of
from invoicing.jobs.store.rescue import forgive
from invoicing.jobs.tables import jobs
from invoicing.kit.db import Session

_TOLD = f"""
told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, :event, state, attempt, CAST(:data AS jsonb) FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS (SELECT pg_notify('{BACKLOG}', :queues) FROM changed)
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
"""

# Due before all that waits in its queue, so that whoever reads only the first of each queue finds it there.
_EXPEDITE = text(f"""
WITH changed AS (
    UPDATE jobs SET revision = revision + 1, expedited_at = now(), order_at = least(jobs.order_at, now(), (
        SELECT first.order_at - interval '1 ms' FROM jobs AS first
        WHERE first.customer_id = jobs.customer_id AND first.key_id = jobs.key_id AND first.size = jobs.size
          AND first.priority = jobs.priority AND first.needs = jobs.needs
          AND first.state IN ('queued', 'retrying') AND first.released_at IS NULL AND NOT first.held
          AND first.expedited_at IS NULL
        ORDER BY first.order_at, first.id LIMIT 1
    ))
    WHERE id = :id AND state IN ('queued', 'retrying') AND expedited_at IS NULL AND NOT held
    RETURNING id, revision, state, attempt
), {_TOLD}
""")

_MOVE = text(f"""
WITH changed AS (
    UPDATE jobs SET revision = revision + 1, priority = :priority, size = :size, released_at = NULL,
        order_at = CASE WHEN expedited_at IS NULL
                        THEN greatest(submitted_at, CASE state WHEN 'retrying' THEN due_at END)
                             + CAST(:delay AS interval)
                        ELSE order_at END
    WHERE id = :id AND state IN ('queued', 'retrying') AND NOT held AND (priority <> :priority OR size <> :size)
    RETURNING id, revision, state, attempt
), {_TOLD}
""")

# A retry of a dead job is a new beginning with all its kind's attempts, and workers that died on it are forgiven; its
# checkpoint and its history stay.
_RETRY = text(f"""
WITH changed AS (
    UPDATE jobs SET revision = revision + 1, state = 'queued', due_at = now(), finished_at = NULL, released_at = NULL,
        failures = CASE state WHEN 'dead' THEN 0 ELSE failures END, error = NULL, cancel_requested_at = NULL,
        order_at = least(order_at, now() + CAST(:delay AS interval))
    WHERE id = :id AND (state = 'dead' OR (state = 'retrying' AND due_at > now() AND NOT held))
    RETURNING id, revision, state, attempt
), {_TOLD}
""")


Lane = tuple[Priority, Size]


@dataclass(frozen=True)
class Signed:
    """Who acts and why: customers see the role, our staff all of it."""

    role: str
    actor: str
    reason: str


async def found(session: Session, job_id: UUID) -> Job | None:
    """Read anybody's job, and let nobody else change it until this transaction ends."""
    row = (await session.execute(select(jobs).where(jobs.c.id == job_id).with_for_update())).mappings().one_or_none()
    return None if row is None else job_of(row)


async def expedite(session: Session, job: Job, signed: Signed) -> bool:
    """Put a waiting job before the fair order; False when it does not wait, or goes first already."""
    return await _done(session, _EXPEDITE, job, Event.EXPEDITED, signed, (job.priority, job.size))


async def move(session: Session, job: Job, signed: Signed, to: Lane, delay: timedelta) -> bool:
    """Move a waiting job to another lane, due `delay` after its submission; False when it does not wait elsewhere."""
    return await _done(session, _MOVE, job, Event.MOVED, signed, to, priority=to[0], size=to[1], delay=delay)


async def retry(session: Session, job: Job, signed: Signed, delay: timedelta) -> bool:
    """Have a job tried now that died or waits for its next attempt; due after `delay` at the latest. Else False."""
    done = await _done(session, _RETRY, job, Event.RETRIED, signed, (job.priority, job.size), delay=delay)
    if done and job.state is State.DEAD:
        await forgive(session, job.id)
    return done


async def _done(
    session: Session, statement: TextClause, job: Job, event: Event, signed: Signed, to: Lane, **more: object
) -> bool:
    data: dict[str, object] = {"by": signed.role, "staff": {"actor": signed.actor, "reason": signed.reason}}
    lanes = dict.fromkeys([(job.priority, job.size), to])  # of a move the dispatcher looks at both queues
    if len(lanes) > 1:
        data |= {"from": f"{job.priority}-{job.size}", "to": f"{to[0]}-{to[1]}"}
    needs = f":{job.needs}" if job.needs else ""
    queues = ",".join(f"{job.customer_id}:{job.key_id}:{priority}:{size}{needs}" for priority, size in lanes)
    asked = {"id": job.id, "event": event, "data": to_json(data).decode(), "queues": queues, **more}
    return (await session.execute(statement, asked)).one_or_none() is not None
