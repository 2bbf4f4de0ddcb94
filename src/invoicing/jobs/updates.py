"""Keeping the time by which customers were told to hear of a job again: a change of it, or why there is none."""

from collections.abc import Sequence
from uuid import UUID

from invoicing.jobs.model import FINISHED, Job, Owed, Standing, Update, reason_of
from invoicing.jobs.store import read
from invoicing.jobs.store import updates as store
from invoicing.jobs.store.promises import clock
from invoicing.jobs.store.updates import owe, owed, settle
from invoicing.jobs.view import UNKNOWN, Explainer
from invoicing.kit.db import Session, driver
from invoicing.outbox import service as outbox


async def made(session: Session, owing: Sequence[Owed], explain: Explainer) -> list[Update]:
    """Explain the jobs of which news is owed; gives what is to be told of those that are still what was shown."""
    seen = {one.job_id: one.revision for one in owing}
    jobs = [job for job in await read.anybodys(session, list(seen)) if job.revision == seen[job.id]]
    standings = await explain(session, jobs) if jobs else {}
    updates = [update_of(job, standings.get(job.id, UNKNOWN)) for job in jobs]
    return [update for update in updates if update is not None]


def update_of(job: Job, standing: Standing) -> Update | None:
    """Say what is told of a job that has not changed; None where nothing is known, or nothing more comes."""
    cause, eta = standing.cause, standing.eta
    if job.state in FINISHED or cause is None or cause.next_update_by is None:
        return None
    return Update(
        job_id=job.id,
        revision=job.revision,
        reason=reason_of(cause),
        ahead=standing.ahead,
        likely=eta.likely if eta else None,
        latest=eta.latest if eta else None,
        next_by=cause.next_update_by,
    )


async def tell(session: Session, updates: Sequence[Update]) -> set[UUID]:
    """Write updates in this transaction, with the messages to who wants them; gives the jobs that were unchanged.

    Who is sent a message is told a time with it, so that news is owed again; of others it is when they look.
    """
    if not updates:
        return set()
    made_by = {one.job_id: one for one in updates}
    await clock(session)  # begins the transaction that the driver's statements then belong to
    written = await store.write(await driver(session), updates)
    sent = await outbox.tell_updates(session, written)
    if sent:
        await owe(session, {(job_id, written[job_id]): made_by[job_id].next_by for job_id in sent})
    return set(written)


__all__ = ["made", "owe", "owed", "settle", "tell", "update_of"]
