"""One relay's share of the outbox: what it takes to send now, and what it writes when it knows what became of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from invoicing.kit.db import Session
from invoicing.outbox.model import (
    OF_OPS,
    WINDOW,
    Channel,
    Errand,
    MessageState,
    Outcome,
    Verdict,
    judge,
    longest_silence,
    pause_after,
)
from invoicing.outbox.store import relay
from invoicing.outbox.store.relay import BELL, BELL_OF_OPS, next_due

_EXPIRED_AT_ONCE = 500


@dataclass(frozen=True)
class Bounds:
    """How much is under way at once."""

    messages: int = 256
    """Of one relay."""
    probes: int = 64
    """Of these, to endpoints that failed lately: they may take as long as the patience lasts, each for nothing."""
    each: int = 4
    """To one endpoint, over all relays."""
    lease: timedelta = timedelta(seconds=60)
    """After which a message is sent again that nothing was heard of; must exceed the patience of a request."""


def bell_of(channels: Collection[Channel]) -> str:
    """Name what is rung when there is something for some channels: jobs that end do not wake who sends alerts."""
    return BELL_OF_OPS if OF_OPS.issuperset(channels) else BELL


async def take(
    session: Session, channels: Collection[Channel], bounds: Bounds, *, free: int, probes: int
) -> Sequence[Errand]:
    """Claim what may be sent now: at most `free` messages to endpoints that work, and `probes` to those that failed."""
    well = await relay.ready(session, channels, probing=False, most=free) if free > 0 else []
    failed = await relay.ready(session, channels, probing=True, most=probes) if probes > 0 else []
    rooms: dict[UUID, int] = {**_shared(well, free, bounds.each), **dict.fromkeys(failed, 1)}
    return await relay.claim(session, rooms, bounds.lease) if rooms else ()


def _shared(endpoints: Sequence[UUID], free: int, each: int) -> dict[UUID, int]:
    """Share free places out, one for everybody before a second one for anybody."""
    if not endpoints:
        return {}
    every, more = divmod(free, len(endpoints))
    return {one: min(each, every + (place < more)) for place, one in enumerate(endpoints)}


async def conclude(session: Session, errand: Errand, outcome: Outcome, chance: float) -> tuple[Verdict, bool]:
    """Write what became of an attempt; also tells whether it was still the current one."""
    failures = await relay.failures_of(session, errand.endpoint_id)
    most = longest_silence(errand.channel)
    verdict = judge(outcome, errand.tries, errand.left, chance, most)
    if verdict.outcome == "delivered":
        await relay.went_well(session, errand.endpoint_id)
    elif not verdict.elsewhere:
        pause = pause_after(failures + 1, verdict.held_for, chance, most)
        await relay.went_wrong(session, errand, verdict, pause)
    if errand.repeats is not None and verdict.state is MessageState.DELIVERED:
        return verdict, await relay.keep_up(session, errand, verdict, WINDOW)
    return verdict, await relay.settle(session, errand, verdict)


async def expire(session: Session) -> int:
    """Make dead letters of what was not delivered in its window because its endpoint could not be asked."""
    return len(await relay.expire(session, _EXPIRED_AT_ONCE))


__all__ = ["Bounds", "bell_of", "conclude", "expire", "next_due", "take"]
