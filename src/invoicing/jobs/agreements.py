"""What is promised to a customer otherwise than a kind says: agreed by an admin, known to web processes from memory."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model import Job, Size
from invoicing.jobs.model.calendars import Calendar, OpenTime, Promise, calendar_of, due_of, faults_of, span_of
from invoicing.jobs.store import agreements as store
from invoicing.jobs.store.agreements import Of, all_agreements
from invoicing.kit.db import Session, is_away, transaction
from invoicing.kit.problems import Problem

log = logging.getLogger(__name__)

_REFRESH_EVERY_S = 3.0


class Agreements:
    """Knows what one web process has to know to promise something: nothing is asked while somebody waits."""

    def __init__(self) -> None:
        """Know of no agreement: what kinds say is promised."""
        self._known: Mapping[Of, Promise] = {}

    def promise(self, kind: JobKind, customer_id: UUID, size: Size) -> Promise:
        """Say what is promised for a new job."""
        return self._known.get((customer_id, kind.name, size)) or kind.promise[size]

    def calendar(self, kinds: Kinds, job: Job) -> Calendar | None:
        """Say by which calendar the promise of a job is counted; None: by the clock."""
        kind = kinds.get(job.kind)
        return None if kind is None else calendar_of(self.promise(kind, job.customer_id, job.size))

    async def refresh(self, session: Session) -> None:
        """Take over what is agreed now."""
        self._known = await all_agreements(session)


class Known(Protocol):
    """What a web process knows from memory, and takes over anew."""

    async def refresh(self, session: Session, /) -> None: ...


@asynccontextmanager
async def refreshed(agreements: Known, engine: AsyncEngine, every_s: float = _REFRESH_EVERY_S) -> AsyncIterator[None]:
    """Know what is agreed before the block begins, and anew now and then while it runs.

    Without the ledger it goes on with what it knows.
    """
    await _refresh(agreements, engine)
    task = asyncio.create_task(_refresh_for_ever(agreements, engine, every_s), name="agreements")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _refresh_for_ever(agreements: Known, engine: AsyncEngine, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        await _refresh(agreements, engine)


async def _refresh(agreements: Known, engine: AsyncEngine) -> None:
    try:
        async with engine.connect() as session:
            await agreements.refresh(session)
    except Exception as error:
        if is_away(error):
            log.warning("cannot read what is agreed: %s", error, extra={"action": "agreements.not_refreshed"})
        else:
            log.exception("cannot read what is agreed", extra={"action": "agreements.not_refreshed"})


def promise_from(span: timedelta, calendar: Calendar | None, now: datetime) -> Promise:
    """Make a promise of what was asked for; raises `Problem` where its calendar makes no sense or hardly ever opens."""
    if calendar is None:
        return span
    fault = faults_of(calendar)
    if fault is not None:
        raise Problem("bad_input", fault, field="/calendar", remedy="Correct the calendar.")
    try:
        due_of(now, 2 * span, calendar)
    except ValueError as error:
        remedy = "Give less time, or a calendar that is open longer."
        raise Problem("bad_input", "That much time would take years.", field="/hours", remedy=remedy) from error
    return OpenTime(span, calendar)


async def agree(
    engine: AsyncEngine,
    principal: Principal,
    slug: str,
    kind: JobKind,
    promises: Mapping[Size, Promise | None],
    why: str,
) -> Mapping[Size, Promise]:
    """Agree on promises with a customer, or (None) end agreements; on the audit with what was agreed before.

    Gives what is agreed with the customer about the kind now. Raises `Problem` when there is no such customer.
    """
    async with transaction(engine) as session:
        customer = await customers.held(session, slug)
        before = await store.agreed(session, customer.id, kind.name)
        await store.take_away(session, customer.id, kind.name, [size for size in promises if promises[size] is None])
        await store.agree(session, customer.id, kind.name, {s: one for s, one in promises.items() if one is not None})
        after = await store.agreed(session, customer.id, kind.name)
        data = {"kind": kind.name, "from": _plain(before), "to": _plain(after)}
        await customers.audit(session, principal, "customer.agreed", f"customer:{customer.id}", why, data)
    return after


def _plain(promises: Mapping[Size, Promise]) -> dict[str, Any]:
    return {size: promise_view(promise) for size, promise in promises.items()}


def promise_view(promise: Promise) -> dict[str, Any]:
    """Show a promise: seconds, and the calendar that they are counted by, if there is one."""
    calendar = calendar_of(promise)
    return {"seconds": span_of(promise).total_seconds(), "calendar": calendar and calendar.as_json()}


__all__ = ["Agreements", "agree", "all_agreements", "promise_from", "promise_view", "refreshed"]
