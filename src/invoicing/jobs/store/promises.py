"""Promises that may still break, and what is told of them: each change a compare-and-set that leaves its rows.

A message to the job's endpoints is written with the history, in the same transaction (migration 0007).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json
from sqlalchemy import DateTime, bindparam, select, text, tuple_

from invoicing.jobs.model import Event, Job, News, Notice, PromiseChange, PromiseStatus, Reason, Standing, reason_of
from invoicing.jobs.store.acts import Signed
from invoicing.jobs.store.channels import TOLD_JOBS
from invoicing.jobs.store.read import job_of
from invoicing.jobs.tables import jobs, promise_changes
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session

EVENTS: Mapping[News, Event] = {
    News.AT_RISK: Event.PROMISE_AT_RISK,
    News.ON_TRACK: Event.PROMISE_ON_TRACK,
    News.MISSED: Event.PROMISE_MISSED,
    News.MOVED: Event.PROMISE_MOVED,
}

Place = tuple[datetime, UUID]
"""Where in the order of promises a page ended."""

# What is locked is passed over: it is in a step of its own, or ends, this moment; the next round asks again.
_NOTE = f"""
WITH noted AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[]
    ) AS n(id, news, event, was, due, likely, latest, cause, message, wording, fields, data)
), free AS MATERIALIZED (
    SELECT noted.* FROM noted JOIN jobs ON jobs.id = noted.id
    WHERE jobs.finished_at IS NULL AND jobs.promise_status = noted.was AND jobs.promise_due = noted.due
        AND (noted.news <> 'missed' OR jobs.promise_due < now())
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs SKIP LOCKED
), changed AS (
    UPDATE jobs SET promise_status = free.news, promise_changed_at = now(), revision = revision + 1
    FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, jobs.revision, jobs.state, jobs.attempt, free.news, free.event, free.due, free.likely,
        free.latest, free.cause, free.message, free.wording, free.fields, free.data
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, event, state, attempt, data::jsonb FROM changed
), kept AS (
    INSERT INTO promise_changes (job_id, seq, news, due, likely, latest, cause, message, wording, fields)
    SELECT id, revision, news, due, likely, latest, cause, message, wording, fields::jsonb FROM changed
), followers AS ({TOLD_JOBS})
SELECT id FROM changed LEFT JOIN followers ON true
"""

_MOVE = text(f"""
WITH changed AS (
    UPDATE jobs SET promise_due = :due, promise_status = 'on_track', promise_changed_at = now(), revision = revision + 1
    WHERE id = :id AND finished_at IS NULL AND promise_due = :was AND promise_due <> :due
    RETURNING id, revision, state, attempt
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'promise_moved', state, attempt, CAST(:data AS jsonb) FROM changed
), kept AS (
    INSERT INTO promise_changes (
        job_id, seq, news, due, moved_from, likely, latest, cause, message, wording, fields, by, actor, reason
    )
    SELECT id, revision, 'moved', :due, :was, :likely, :latest, :cause, :message, :wording, CAST(:fields AS jsonb),
        :by, :actor, :reason FROM changed
), followers AS ({TOLD_JOBS})
SELECT id FROM changed LEFT JOIN followers ON true
""").bindparams(*(bindparam(name, type_=DateTime(timezone=True)) for name in ("due", "was", "likely", "latest")))

_CLOCK = text("SELECT now()")


async def clock(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    moment: datetime = (await session.execute(_CLOCK)).scalar_one()
    return moment


async def may_break(session: Session, after: Place | None, before: datetime | None, most: int) -> list[Job]:
    """Read unfinished jobs whose promise is not missed yet, those due first, from behind a place up to a time."""
    c = jobs.c
    query = select(jobs).where(c.finished_at.is_(None), c.promise_status != PromiseStatus.MISSED)
    if after is not None:
        query = query.where(tuple_(c.promise_due, c.id) > tuple_(*after))
    if before is not None:
        query = query.where(c.promise_due < before)
    rows = await session.execute(query.order_by(c.promise_due, c.id).limit(most))
    return [job_of(row) for row in rows.mappings()]


async def note(connection: "asyncpg.Connection[Any]", notices: Sequence[Notice]) -> set[UUID]:
    """Write what is to be told of promises, where they still stand as it was seen; gives the jobs changed."""
    rows = await connection.fetch(
        _NOTE,
        [one.job_id for one in notices],
        [one.news for one in notices],
        [EVENTS[one.news] for one in notices],
        [one.was for one in notices],
        [one.due for one in notices],
        [one.likely for one in notices],
        [one.latest for one in notices],
        [one.reason and one.reason.code for one in notices],
        [one.reason and one.reason.message for one in notices],
        [one.reason and one.reason.wording for one in notices],
        [_written(one.reason) for one in notices],
        [to_json(told(one.due, one.likely, one.latest, one.reason)).decode() for one in notices],
    )
    return {row["id"] for row in rows}


async def move(session: Session, job: Job, due: datetime, standing: Standing, signed: Signed) -> bool:
    """Promise another time, with what is expected and why; False when the job is finished or that is promised already.

    `job` is as it was found: locked. Whether the new promise is at risk is noticed as that of any other.
    """
    eta, cause = standing.eta, standing.cause
    likely, latest = (eta.likely, eta.latest) if eta else (None, None)
    reason = reason_of(cause) if cause else None
    data = told(due, likely, latest, reason) | {"moved_from": rfc3339(job.promise_due), "by": signed.role}
    values = {
        "id": job.id,
        "due": due,
        "was": job.promise_due,
        "likely": likely,
        "latest": latest,
        "cause": reason and reason.code,
        "message": reason and reason.message,
        "wording": reason and reason.wording,
        "fields": _written(reason),
        "by": signed.role,
        "actor": signed.actor,
        "reason": signed.reason,
        "data": to_json({**data, "staff": {"actor": signed.actor, "reason": signed.reason}}).decode(),
    }
    return (await session.execute(_MOVE, values)).one_or_none() is not None


def told(due: datetime, likely: datetime | None, latest: datetime | None, reason: Reason | None) -> dict[str, Any]:
    """Give what a row of the timeline says of a promise."""
    expected = {"likely": rfc3339(likely), "latest": rfc3339(latest)} if likely and latest else None
    return {"due": rfc3339(due), "expected": expected, "reason": asdict(reason) if reason else None}


def _written(reason: Reason | None) -> str | None:
    return to_json(reason.fields).decode() if reason and reason.fields is not None else None


async def history(session: Session, job_ids: Collection[UUID]) -> dict[UUID, list[PromiseChange]]:
    """Read what was told of the promises of some jobs, the first first."""
    c = promise_changes.c
    rows = await session.execute(select(promise_changes).where(c.job_id.in_(job_ids)).order_by(c.job_id, c.seq))
    found: dict[UUID, list[PromiseChange]] = {}
    for row in rows:
        change = PromiseChange(
            seq=row.seq,
            at=row.at,
            news=News(row.news),
            due=row.due,
            moved_from=row.moved_from,
            likely=row.likely,
            latest=row.latest,
            reason=Reason(row.cause, row.message, row.wording, row.fields) if row.cause else None,
            by=row.by,
        )
        found.setdefault(row.job_id, []).append(change)
    return found
