"""What planning reads from the ledger: the jobs that finished lately, as work to be simulated, and today's fleet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from invoicing.kit.db import Session
from invoicing.lanes import policies
from invoicing.lanes import service as lanes
from invoicing.lanes.model import Policy
from invoicing.plan import store
from invoicing.plan.model.work import Work


@dataclass(frozen=True)
class History:
    """Jobs that succeeded, in the order in which they arrived; times are seconds since `begins`."""

    jobs: Sequence[Work]
    begins: datetime
    over: timedelta
    """How far back was asked for."""
    cut_off: bool
    """More had finished in that time than were read: the oldest of them are left out."""
    waiting_at_begin: int
    """Jobs that had arrived before: they wait when it begins."""


@dataclass(frozen=True)
class Today:
    """The fleet that serves now."""

    slots: tuple[int, ...]
    """Of each live worker."""
    policy: Policy


async def history(session: Session, over: timedelta, most: int) -> History:
    """Read what finished lately, the newest `most` jobs at most."""
    read: list[store.Finished] = []
    cut_off = False
    async for one in store.finished(session, over, most + 1):
        if len(read) == most:
            cut_off = True
            break
        read.append(one)
    begins = await store.since(session, over)
    if cut_off:
        begins = max(begins, read[-1].finished_at)
    begins = max(begins, min((one.submitted_at for one in read), default=begins))
    jobs = sorted((_work(one, begins) for one in read), key=lambda job: job.at_s)
    return History(jobs, begins, over, cut_off, sum(one.submitted_at < begins for one in read))


async def today(session: Session) -> Today:
    """Read who serves now, and by which policy."""
    workers = [one for one in await lanes.all_workers(session) if one.alive and not one.stopping]
    return Today(tuple(one.slots for one in workers), await policies.policy_for(session))


def _work(one: store.Finished, begins: datetime) -> Work:
    return Work(
        at_s=max(0.0, (one.submitted_at - begins).total_seconds()),
        customer=str(one.customer_id),
        key=str(one.key_id),
        priority=one.priority,
        size_s=one.seconds,
        estimated_s=one.predicted_s,
        checkpoints=one.checkpoints,
        kind=one.kind,
        promise_s=one.promise_s if one.promise_s > 0 else None,
    )
