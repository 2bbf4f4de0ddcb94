"""Keeping promises in sight: what may break is judged by what is expected, and told before it does."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.jobs.model import Job, News, Notice, PromiseChange, PromiseStatus, Standing, reason_of
from invoicing.jobs.model.promises import Promised, standing_of
from invoicing.jobs.store import promises as store
from invoicing.jobs.store.promise_tallies import count
from invoicing.jobs.store.promises import Place, clock, may_break
from invoicing.jobs.store.shift import Move, due_after, due_behind, newcomers, shift
from invoicing.jobs.view import UNKNOWN, Explainer
from invoicing.kit.db import Session, driver
from invoicing.outbox import service as outbox

YOUNG = timedelta(seconds=5)
"""A job younger than this is left alone, unless it is due: most are done by then."""


async def judged(session: Session, jobs: Sequence[Job], explain: Explainer, now: datetime) -> list[Notice]:
    """Judge the promises of unfinished jobs; gives what is to be told of them."""
    due = [job for job in jobs if now - job.submitted_at >= YOUNG or now >= job.promise_due]
    standings = await explain(session, due) if due else {}
    notices = [notice_of(job, standings.get(job.id, UNKNOWN), now) for job in due]
    return [notice for notice in notices if notice is not None]


def notice_of(job: Job, standing: Standing, now: datetime) -> Notice | None:
    """Say what is to be told of a promise that stands otherwise than it was told last."""
    promised = Promised(job.promise_status, job.promise_due, job.submitted_at)
    stands = standing_of(promised, standing.eta, now, standing.not_before)
    if stands is job.promise_status:
        return None
    eta, cause = standing.eta, standing.cause
    return Notice(
        job_id=job.id,
        news=News(stands),
        was=job.promise_status,
        due=job.promise_due,
        likely=eta.likely if eta else None,
        latest=eta.latest if eta else None,
        reason=reason_of(cause) if cause else None,
    )


async def tell(session: Session, notices: Sequence[Notice]) -> set[UUID]:
    """Write what is to be told, in this transaction; gives the jobs whose promise still stood as it was seen."""
    await clock(session)  # begins the transaction that the driver's statements then belong to
    return await store.note(await driver(session), notices)


async def history(session: Session, jobs: Collection[Job]) -> dict[UUID, Sequence[PromiseChange]]:
    """Read what was told of promises, and since when somebody knows it; asks only where anything was told."""
    job_ids = [job.id for job in jobs if job.promise_changed_at is not None]
    if not job_ids:
        return {}
    changes = await store.history(session, job_ids)
    delivered = await outbox.first_delivered(session, job_ids)
    return {
        job_id: [replace(one, told_at=delivered.get((job_id, one.seq))) for one in found]
        for job_id, found in changes.items()
    }


__all__ = [
    "Move",
    "Place",
    "PromiseStatus",
    "clock",
    "count",
    "due_after",
    "due_behind",
    "history",
    "judged",
    "may_break",
    "newcomers",
    "notice_of",
    "shift",
    "tell",
]
