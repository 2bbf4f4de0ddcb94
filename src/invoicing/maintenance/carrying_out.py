"""What the watchdog does about a window, one step in each transaction: killed anywhere, the next one goes on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic_core import to_json

from invoicing.diagnosis.model.check import Answer, Check, Code
from invoicing.diagnosis.words import say
from invoicing.jobs import promising
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Job, Reason
from invoicing.jobs.model.calendars import Calendar, next_open
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.lanes import service as lanes
from invoicing.maintenance import store
from invoicing.maintenance.model import Stage, Window, shifts_now, stage_of
from invoicing.maintenance.store import Reached, unfinished
from invoicing.outbox import publishing
from invoicing.outbox.model import WebhookEvent

PAGE = 500
"""Customers told, and promises shifted, in one step."""

SETTLED_AFTER = timedelta(seconds=10)
"""A job whose id is older than this is committed, and its id was not made by a clock that is behind."""

Counted = Callable[[Job], Calendar | None]
"""Says by which calendar the promise of a job is counted."""


@dataclass(frozen=True)
class Step:
    """What one step did; `more`: there is something left to do at once."""

    began: bool = False
    ended: bool = False
    told: int = 0
    shifted: int = 0
    more: bool = False


async def step(
    session: Session, window_id: UUID, counted: Counted, *, look: bool, settled_after: timedelta = SETTLED_AFTER
) -> Step:
    """Do what is due about a window, if nobody else does: tell, shift promises, begin, end.

    `look`: whether to look once more for customers whom it touches by now.
    """
    found = await store.held(session, window_id)
    if found is None:
        return Step()
    window, now = found
    match stage_of(window, now):
        case Stage.OVER:
            await _end(session, window)
            return Step(ended=True)
        case Stage.IN_FORCE if window.begun_at is None:
            await _begin(session, window)
            return Step(began=True, more=True)
    told = await _tell(session, window, now) if look or window.announced_at is None else 0
    shifted, more = await _shift(session, window, now, counted, settled_after)
    return Step(told=told, shifted=shifted, more=more or told == PAGE)


async def _begin(session: Session, window: Window) -> None:
    await store.begin(session, window.id)
    await drain(session, window)


async def drain(session: Session, window: Window) -> None:
    """Pause the lanes of a window until its end, if it drains them."""
    if window.drain:
        await lanes.drain_lanes(session, window.lanes, window.ends, window.reason, window.by, window.id)


async def _end(session: Session, window: Window) -> None:
    await store.end(session, window.id)
    await lanes.end_drain(session, window.id)


async def _tell(session: Session, window: Window, now: datetime) -> int:
    customers = await store.note_told(session, window, PAGE)
    if customers:
        event = WebhookEvent.MAINTENANCE_ANNOUNCED
        await publishing.publish(session, event, message(event, window, now), customers)
    if window.announced_at is None and len(customers) < PAGE:
        await store.announced(session, window.id)
    return len(customers)


def message(event: WebhookEvent, window: Window, now: datetime) -> str:
    """Write what customers are told of a window: nothing in it is about one of them."""
    data = {
        "id": window.id,
        "from": rfc3339(window.begins),
        "until": rfc3339(window.ends),
        "lanes": window.lanes,
        "reason": window.reason,
        "drain": window.drain,
        "shift_promises": window.shift_promises,
    }
    return to_json({"type": event, "timestamp": rfc3339(now), "data": data}).decode()


async def _shift(
    session: Session, window: Window, now: datetime, counted: Counted, settled_after: timedelta
) -> tuple[int, bool]:
    """Shift a page of promises: first those given before, then those given meanwhile. Also tells whether more wait."""
    if not shifts_now(window, now):
        return 0, False
    place = await store.reached(session, window.id)
    settled = first_id(now - settled_after)
    if place.below is None:
        place = replace(place, below=settled, since=settled)
    if place.shifted_at is None:
        jobs, place, more = await _earlier(session, window, place, now)
    else:
        jobs, place, more = await _later(session, window, place, settled)
    shifted = await _move(session, window, jobs, now, counted)
    await store.reach(session, window.id, place, shifted)
    return shifted, more


async def _earlier(session: Session, window: Window, place: Reached, now: datetime) -> tuple[list[Job], Reached, bool]:
    before = (place.due, place.id) if place.due and place.id else None
    jobs = await promising.due_behind(session, window.lanes, window.begins, _known(place.below), before, PAGE)
    if len(jobs) < PAGE:
        return jobs, replace(place, shifted_at=now), True
    return jobs, replace(place, due=jobs[-1].promise_due, id=jobs[-1].id), True


async def _later(session: Session, window: Window, place: Reached, settled: UUID) -> tuple[list[Job], Reached, bool]:
    since = _known(place.since)
    fresh = await promising.newcomers(session, since, max(since, settled), PAGE)
    jobs = await promising.due_after(session, fresh, window.lanes, window.begins)
    more = len(fresh) == PAGE
    return jobs, replace(place, since=fresh[-1] if more else max(since, settled)), more


def _known(value: UUID | None) -> UUID:
    if value is None:
        raise ValueError("a place is written before it is read")
    return value


async def _move(session: Session, window: Window, jobs: list[Job], now: datetime, counted: Counted) -> int:
    if not jobs:
        return 0
    moves = [promising.Move(job, next_open(job.promise_due + window.length, counted(job))) for job in jobs]
    signed = ledger.Signed(window.role, window.by, window.internal_reason)
    return await promising.shift(session, moves, reason_of(window, now), signed)


def reason_of(window: Window, now: datetime) -> Reason:
    """Say in a customer's words why a promise is shifted."""
    evidence = {"begins": window.begins, "until": window.ends, "reason": window.reason}
    check = Check(Code.PAUSED, Answer.HOLDS, now, wording="maintenance_ahead", evidence=evidence)
    return Reason(Code.PAUSED, say(check))


def first_id(at: datetime) -> UUID:
    """Give the id before all that are made from a moment on (RFC 9562 section 5.7)."""
    return UUID(int=int(at.astimezone(UTC).timestamp() * 1000) << 80)


__all__ = [
    "PAGE",
    "SETTLED_AFTER",
    "Counted",
    "Step",
    "drain",
    "first_id",
    "message",
    "reason_of",
    "step",
    "unfinished",
]
