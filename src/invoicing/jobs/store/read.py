"""Reading jobs: one, a page, a timeline."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.engine import RowMapping
from sqlalchemy.sql import ColumnElement

from invoicing.jobs.model import FINISHED, Event, Job, Priority, PromiseStatus, Size, State, TimelineEntry
from invoicing.jobs.tables import attempts, checkpoints, jobs, payload_parts, timeline
from invoicing.kit.db import Session


def job_of(row: RowMapping) -> Job:
    """Build the value from its row."""
    named = {
        "priority": Priority(row["priority"]),
        "size": Size(row["size"]),
        "state": State(row["state"]),
        "promise_status": PromiseStatus(row["promise_status"]),
    }
    return Job(**{**row, **named})


async def get(session: Session, customer_id: UUID, job_id: UUID) -> Job | None:
    """Read a customer's job; None when there is none of that id *of that customer*."""
    row = (
        (await session.execute(select(jobs).where(jobs.c.id == job_id, jobs.c.customer_id == customer_id)))
        .mappings()
        .one_or_none()
    )
    return None if row is None else job_of(row)


async def some(session: Session, customer_id: UUID, job_ids: Sequence[UUID]) -> list[Job]:
    """Read those jobs of a customer that are there, in no particular order."""
    rows = await session.execute(select(jobs).where(jobs.c.id.in_(job_ids), jobs.c.customer_id == customer_id))
    return [job_of(row) for row in rows.mappings()]


async def anybodys(session: Session, job_ids: Sequence[UUID]) -> list[Job]:
    """Read jobs whosever they are: for the service itself and our staff, never for a customer."""
    rows = await session.execute(select(jobs).where(jobs.c.id.in_(job_ids)))
    return [job_of(row) for row in rows.mappings()]


async def page(
    session: Session,
    customer_id: UUID,
    *,
    before: UUID | None,
    limit: int,
    states: Sequence[State] = (),
    kind: str | None = None,
    reference: str | None = None,
    since: datetime | None = None,
) -> list[Job]:
    """Read a customer's jobs, newest first, from below the id `before`."""
    wanted: list[ColumnElement[bool]] = [jobs.c.customer_id == customer_id]
    if before is not None:
        wanted.append(jobs.c.id < before)
    if states:
        wanted.append(jobs.c.state.in_(states))
        if not FINISHED & set(states):
            wanted.append(jobs.c.finished_at.is_(None))
    if kind is not None:
        wanted.append(jobs.c.kind == kind)
    if reference is not None:
        wanted.append(jobs.c.reference == reference)
    if since is not None:
        wanted.append(jobs.c.submitted_at >= since)
    rows = await session.execute(select(jobs).where(*wanted).order_by(jobs.c.id.desc()).limit(limit))
    return [job_of(row) for row in rows.mappings()]


async def entries(session: Session, job_id: UUID, *, after: int, limit: int) -> list[TimelineEntry]:
    """Read a job's timeline from behind the entry `after`."""
    rows = await session.execute(
        select(timeline.c.seq, timeline.c.at, timeline.c.event, timeline.c.state, timeline.c.attempt, timeline.c.data)
        .where(timeline.c.job_id == job_id, timeline.c.seq > after)
        .order_by(timeline.c.seq)
        .limit(limit)
    )
    return [TimelineEntry(row.seq, row.at, Event(row.event), State(row.state), row.attempt, row.data) for row in rows]


async def revision_of(session: Session, customer_id: UUID, job_id: UUID) -> tuple[int, State] | None:
    """Read only what tells whether a job has changed."""
    row = (
        await session.execute(
            select(jobs.c.revision, jobs.c.state).where(jobs.c.id == job_id, jobs.c.customer_id == customer_id)
        )
    ).one_or_none()
    return None if row is None else (row.revision, State(row.state))


async def part(session: Session, job_id: UUID, number: int) -> bytes | None:
    """Read a part of a job's payload; part 0 is the request itself, the others its streamed items."""
    body: bytes | None = await session.scalar(
        select(payload_parts.c.body).where(payload_parts.c.job_id == job_id, payload_parts.c.part == number)
    )
    return body


async def parts_of(session: Session, job_id: UUID) -> list[tuple[int, int]]:
    """List the parts of a payload beyond the request itself: (part, number of items)."""
    rows = await session.execute(
        select(payload_parts.c.part, payload_parts.c.item_count)
        .where(payload_parts.c.job_id == job_id, payload_parts.c.part > 0)
        .order_by(payload_parts.c.part)
    )
    return [(row.part, row.item_count) for row in rows]


async def checkpoint_of(session: Session, job_id: UUID) -> Mapping[str, Any] | None:
    """Read what the last attempt left to go on from."""
    state: Mapping[str, Any] | None = await session.scalar(
        select(checkpoints.c.state).where(checkpoints.c.job_id == job_id)
    )
    return state


async def attempts_of(session: Session, job_id: UUID) -> list[Mapping[str, Any]]:
    """List a job's attempts, first to last."""
    rows = await session.execute(select(attempts).where(attempts.c.job_id == job_id).order_by(attempts.c.number))
    return [dict(row) for row in rows.mappings()]


async def ahead_of(session: Session, job: Job, most: int) -> int:
    """Count the jobs of the same lane that start before this one, up to `most`: released ones and earlier in order."""
    earlier = or_(
        jobs.c.released_at.is_not(None),
        jobs.c.order_at < job.order_at,
        (jobs.c.order_at == job.order_at) & (jobs.c.id < job.id),
    )
    counted = (
        select(jobs.c.id)
        .where(
            jobs.c.priority == job.priority,
            jobs.c.size == job.size,
            jobs.c.state.in_((State.QUEUED, State.RETRYING)),
            jobs.c.due_at <= func.now(),
            jobs.c.held.is_(False),
            jobs.c.id != job.id,
            earlier,
        )
        .limit(most)
        .subquery()
    )
    return await session.scalar(select(func.count()).select_from(counted)) or 0


async def held(session: Session) -> dict[UUID, list[UUID]]:
    """List the running jobs of each worker."""
    rows = await session.execute(select(jobs.c.worker_id, jobs.c.id).where(jobs.c.state == State.RUNNING))
    found: dict[UUID, list[UUID]] = {}
    for row in rows:
        found.setdefault(row.worker_id, []).append(row.id)
    return found
