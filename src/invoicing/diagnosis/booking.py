"""Adding up the time of ended jobs, a few at a time, each life once however often its job ends."""

from invoicing.diagnosis import sums
from invoicing.diagnosis.accounting import accounts, lives
from invoicing.diagnosis.model.days import added_up
from invoicing.diagnosis.sums import Ended, forget
from invoicing.jobs import service as ledger
from invoicing.jobs.model import State
from invoicing.kit.db import Session

AT_ONCE = 200
"""Jobs of a step: tens of milliseconds."""


async def book(session: Session, most: int = AT_ONCE) -> int:
    """Add up the lives of jobs that ended behind the place reached; gives how many. Does nothing while another does.

    A fixed number of statements. A job that died is added up to its death; had it tried again, the rest follows.
    """
    place = await sums.reached(session)
    ended = [] if place is None else await sums.ended_after(session, place, most)
    if not ended:
        return 0
    ends = dict(ended)
    found = await ledger.anybodys(session, list(ends))
    jobs = [job for job in found if job.finished_at == ends[job.id]]  # else it is being tried again this moment
    before = await sums.booked(session, [job.id for job in jobs])
    booked = await accounts(session, await lives(session, jobs), ended[-1].at)
    spent = zip((job.customer_id for job in jobs), booked, (before.get(job.id) for job in jobs), strict=True)
    await sums.add(session, added_up(spent))
    died = [Ended(job.id, ends[job.id]) for job in jobs if job.state is State.DEAD]
    await sums.reach(session, ended[-1], died)
    return len(ended)


__all__ = ["AT_ONCE", "book", "forget"]
