"""Letting jobs go that were held: a reviewer says so, there is a place in their quota, or their pause is over.

Whoever has locked a quota's row counts, and nobody else.
"""

from dataclasses import replace
from uuid import UUID

from invoicing.jobs.model import Job, JobError
from invoicing.jobs.model.holds import REJECTED, Quota, seats
from invoicing.jobs.store import pauses, quotas, reviews
from invoicing.jobs.store.acts import Signed
from invoicing.jobs.store.reviews import OpenHold, open_holds
from invoicing.kit.db import Session

AT_ONCE = 500
"""Jobs let go in one transaction: tens of milliseconds."""


async def let_go(session: Session, quota: Quota) -> Quota:
    """Let the first jobs go for which a locked quota has a place; gives it with what it has counted then."""
    most = min(quota.free, quota.waiting, AT_ONCE)
    gone = len(await quotas.admit(session, quota, most)) if most else 0
    counted = replace(quota, used=quota.used + gone, waiting=quota.waiting - gone)
    await quotas.count(session, counted)
    if quota.most is None:
        await quotas.end(session, quota.id)
    return counted


async def let_go_of(session: Session, quota_id: UUID) -> int:
    """Do so for a quota by its id, and say how many went; none while somebody else counts, as another round comes."""
    quota = await quotas.locked(session, quota_id)
    return 0 if quota is None else quota.waiting - (await let_go(session, quota)).waiting


async def let_go_after_pauses(session: Session) -> int:
    """Let jobs go on whose pause is over; gives how many went."""
    return await pauses.resume_over(session, AT_ONCE)


async def release_review(session: Session, job: Job, signed: Signed) -> bool:
    """Let a job go that is in review: into its lane, or to those that wait for a place; False: it is not in review."""
    quota = await quotas.held_for(session, job.customer_id, job.kind)
    seat = next(seats(quota, 1), None) if quota is not None and quota.most is not None else None
    done = await reviews.release(session, job, signed, seat)
    if done and seat is not None:
        await quotas.count(session, seat.taken)
    return done


async def reject_review(session: Session, job: Job, signed: Signed, message: str) -> bool:
    """End a job that is in review, and say to its customer why; False: it is not in review."""
    remedy = "Submit a new job that takes this into account, or ask our support."
    return await reviews.reject(session, job, signed, JobError(REJECTED, message, remedy=remedy))


__all__ = [
    "AT_ONCE",
    "OpenHold",
    "let_go",
    "let_go_after_pauses",
    "let_go_of",
    "open_holds",
    "reject_review",
    "release_review",
]
