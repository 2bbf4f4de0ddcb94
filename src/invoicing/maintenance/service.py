"""Windows planned, looked at and ended by our staff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.jobs import promising
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem
from invoicing.lanes import service as lanes
from invoicing.lanes.model import BY_NAME
from invoicing.maintenance import carrying_out, store
from invoicing.maintenance.model import Stage, Window, faults_of, stage_of
from invoicing.maintenance.store import Touched
from invoicing.outbox import publishing
from invoicing.outbox.model import WebhookEvent

MOST_PROMISES = 10_000
"""Up to which a preview counts promises."""

_MOST_SHOWN = 200
_TARGET = "maintenance"


@dataclass(frozen=True)
class Wish:
    """A window as it is asked for; no lanes: all of them, no beginning: at once."""

    begins: datetime | None
    ends: datetime
    lanes: Sequence[str]
    reason: str
    internal_reason: str
    drain: bool
    shift_promises: bool

    def plain(self) -> Mapping[str, Any]:
        """Give it as the audit keeps it."""
        return {
            "from": self.begins and rfc3339(self.begins),
            "until": rfc3339(self.ends),
            "lanes": sorted(set(self.lanes)),
            "reason": self.reason,
            "drain": self.drain,
            "shift_promises": self.shift_promises,
        }


@dataclass(frozen=True)
class Planned:
    """A window, and whom it touches; `replayed`: an earlier request with the same key had made it."""

    window: Window
    touched: Sequence[Touched]
    as_of: datetime
    replayed: bool = False


async def plan(session: Session, principal: Principal, wish: Wish, key: str | None = None) -> Planned:
    """Plan a window and put it on the audit, all in this transaction; rolled back, it is a preview.

    Raises `Problem` where its times make no sense, a lane does not exist, or a key was used for something else.
    """
    await store.hold(session)
    earlier = await _made_before(session, principal, wish, key)
    now = await promising.clock(session)
    if earlier is not None:
        return Planned(earlier, await _touched(session, earlier), now, replayed=True)
    window = await store.add(session, _window(principal, wish, now))
    data = {"id": str(window.id), "wish": wish.plain()} | ({"idempotency_key": key} if key else {})
    await customers.audit(session, principal, "maintenance.planned", _TARGET, wish.internal_reason, data)
    return Planned(window, await _touched(session, window), now)


def _window(principal: Principal, wish: Wish, now: datetime) -> Window:
    begins = wish.begins or now
    fault = faults_of(begins, wish.ends, now)
    if fault is not None:
        raise Problem("bad_input", f"{fault[0]}: {fault[1]}", field=fault[0], remedy=fault[2])
    return Window(
        id=new_id(),
        begins=begins,
        ends=wish.ends,
        lanes=tuple(name for name in BY_NAME if name in (wish.lanes or BY_NAME)),
        reason=wish.reason,
        internal_reason=wish.internal_reason,
        drain=wish.drain,
        shift_promises=wish.shift_promises,
        by=f"{principal.role}:{principal.label}",
        created_at=now,
    )


async def _made_before(session: Session, principal: Principal, wish: Wish, key: str | None) -> Window | None:
    earlier = key and await customers.audited_under(session, principal.key_id, _TARGET, key)
    if not earlier:
        return None
    if earlier["act"] != "maintenance.planned" or earlier["data"].get("wish") != wish.plain():
        raise Problem(
            "idempotency_key_reused",
            "This key was used for another act on maintenance.",
            field="/headers/Idempotency-Key",
            remedy="Send a fresh key with each new request.",
        )
    return await _found(session, UUID(earlier["data"]["id"]))


async def _touched(session: Session, window: Window) -> list[Touched]:
    return await store.touched(session, window.lanes, window.begins, most=MOST_PROMISES, shown=_MOST_SHOWN)


async def _found(session: Session, window_id: UUID) -> Window:
    window = await store.window(session, window_id)
    if window is None:
        remedy = "GET /v1/maintenance lists them."
        raise Problem("not_found", "There is no such maintenance window.", remedy=remedy)
    return window


async def look(session: Session, window_id: UUID) -> Planned:
    """Find a window with whom it touches now; raises `Problem` where there is none."""
    window = await _found(session, window_id)
    return Planned(window, await _touched(session, window), await promising.clock(session))


async def end(session: Session, principal: Principal, window_id: UUID, reason: str) -> tuple[Window, datetime]:
    """End a window: cancelled before it begins, else ended early; promises that were shifted stay.

    Whoever was told of a window that is cancelled is told that. Ending one that is over changes nothing.
    """
    window, now = await _found(session, window_id), await promising.clock(session)
    stage = stage_of(window, now)
    if window.ended_at is not None or stage is Stage.OVER:
        return window, now
    await store.end(session, window.id)
    if stage is Stage.PLANNED:
        event = WebhookEvent.MAINTENANCE_CANCELLED
        told = await store.told(session, window.id)
        await publishing.publish(session, event, carrying_out.message(event, window, now), told)
    else:
        await lanes.end_drain(session, window.id)
        await _drain_for_others(session, now)
    act = "maintenance.cancelled" if stage is Stage.PLANNED else "maintenance.ended"
    await customers.audit(session, principal, act, _TARGET, reason, {"id": str(window.id)})
    return replace(window, ended_at=now), now


async def _drain_for_others(session: Session, now: datetime) -> None:
    """Keep lanes paused that another window in force drains too."""
    for other in await store.windows(session, over=False, most=_MOST_SHOWN):
        if other.begun_at is not None and stage_of(other, now) is Stage.IN_FORCE:
            await carrying_out.drain(session, other)


async def windows(session: Session, *, over: bool = False) -> tuple[list[Window], datetime]:
    """List windows with the time as of which they are told; with `over` those that are over, too."""
    return await store.windows(session, over=over, most=_MOST_SHOWN), await promising.clock(session)


__all__ = ["Planned", "Touched", "Wish", "end", "look", "plan", "windows"]
