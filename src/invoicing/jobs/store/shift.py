"""Promises of many jobs moved at once, because their lanes will stand still for a while.

Jobs are found by the promises that may break, those due last first: one that was moved is then behind the place where
the look goes on, and is not found again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import ColumnElement, select, text, tuple_

from invoicing.jobs.model import Job, PromiseStatus, Reason
from invoicing.jobs.store.acts import Signed
from invoicing.jobs.store.channels import TOLD_JOBS
from invoicing.jobs.store.promises import Place, told
from invoicing.jobs.store.read import job_of
from invoicing.jobs.tables import jobs
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session

# What is locked is waited for: nobody comes back to it.
_SHIFT = text(f"""
WITH moved AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:was AS timestamptz[]), CAST(:dues AS timestamptz[]), CAST(:data AS text[])
    ) AS m(id, was, due, data)
), free AS MATERIALIZED (
    SELECT moved.* FROM moved JOIN jobs ON jobs.id = moved.id
    WHERE jobs.finished_at IS NULL AND jobs.promise_status <> 'missed' AND jobs.promise_due = moved.was
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs
), changed AS (
    UPDATE jobs SET promise_due = free.due, promise_status = 'on_track', promise_changed_at = now(),
        revision = revision + 1
    FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, jobs.revision, jobs.state, jobs.attempt, free.was, free.due, free.data
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'promise_moved', state, attempt, data::jsonb FROM changed
), kept AS (
    INSERT INTO promise_changes (job_id, seq, news, due, moved_from, cause, message, by, actor, reason)
    SELECT id, revision, 'moved', due, was, CAST(:cause AS text), CAST(:message AS text), CAST(:by AS text),
        CAST(:actor AS text), CAST(:reason AS text) FROM changed
), followers AS ({TOLD_JOBS})
SELECT count(id) FROM changed LEFT JOIN followers ON true
""")


@dataclass(frozen=True)
class Move:
    """A job as it was found, and the time that is to be promised instead."""

    job: Job
    due: datetime


async def due_behind(
    session: Session, lanes: Collection[str], after: datetime, older_than: UUID, place: Place | None, most: int
) -> list[Job]:
    """Read unfinished jobs of lanes that are due after a time and may keep that, those due last first.

    Only those submitted before a moment (`older_than`: an id of then), from before a place on.
    """
    c = jobs.c
    query = select(jobs).where(*_may_keep(lanes, after), c.id < older_than)
    if place is not None:
        query = query.where(tuple_(c.promise_due, c.id) < tuple_(*place))
    rows = await session.execute(query.order_by(c.promise_due.desc(), c.id.desc()).limit(most))
    return [job_of(row) for row in rows.mappings()]


async def newcomers(session: Session, since: UUID, before: UUID, most: int) -> list[UUID]:
    """Name the jobs submitted between two moments (ids of then), the first first."""
    c = jobs.c
    query = select(c.id).where(c.id > since, c.id < before).order_by(c.id).limit(most)
    return list((await session.scalars(query)).all())


async def due_after(session: Session, job_ids: Collection[UUID], lanes: Collection[str], after: datetime) -> list[Job]:
    """Read those of some jobs that are unfinished, of lanes, due after a time and may keep that."""
    query = select(jobs).where(jobs.c.id.in_(job_ids), *_may_keep(lanes, after))
    return [job_of(row) for row in (await session.execute(query)).mappings()] if job_ids else []


def _may_keep(lanes: Collection[str], after: datetime) -> tuple[ColumnElement[bool], ...]:
    c = jobs.c
    return (
        c.finished_at.is_(None),
        c.promise_status != PromiseStatus.MISSED,
        c.promise_due > after,
        (c.priority + "-" + c.size).in_(lanes),
    )


async def shift(session: Session, moves: Sequence[Move], reason: Reason, signed: Signed) -> int:
    """Promise other times, each with a row of its history and a message; gives how many still stood as found."""
    staff = {"actor": signed.actor, "reason": signed.reason}
    rows = [
        told(one.due, None, None, reason)
        | {"moved_from": rfc3339(one.job.promise_due), "by": signed.role, "staff": staff}
        for one in moves
    ]
    values = {
        "ids": [one.job.id for one in moves],
        "was": [one.job.promise_due for one in moves],
        "dues": [one.due for one in moves],
        "data": [to_json(row).decode() for row in rows],
        "cause": reason.code,
        "message": reason.message,
        "by": signed.role,
        "actor": signed.actor,
        "reason": signed.reason,
    }
    moved: int = (await session.execute(_SHIFT, values)).scalar_one()
    return moved
