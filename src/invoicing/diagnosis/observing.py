"""Looking at the lanes again and again, and keeping what holds them when it changes."""

from collections.abc import Mapping
from datetime import datetime

from invoicing.diagnosis import records, store
from invoicing.diagnosis.model.conditions import BLIND_AFTER, Key, changed, key_of, observed, unwatched
from invoicing.diagnosis.model.durations import learn
from invoicing.diagnosis.model.facts import Snapshot
from invoicing.diagnosis.records import forget
from invoicing.kit.db import Session
from invoicing.lanes.policies import all_policies

Held = Mapping[Key, datetime]
"""When each condition was seen last."""


async def observe(session: Session, held: Held) -> Held | None:
    """Look once; gives what to call the next look with, None while somebody else looks.

    A fixed number of statements over what runs and what is on the runways, whatever waits behind it. Only changes are
    written, and that somebody looked.
    """
    last = await records.last_look(session)
    if last is None:
        return None
    before, now = last
    if now - before > BLIND_AFTER:
        await records.close(session, {key_of(one): before for one in await records.holding(session)})
        await records.begin(session, [unwatched(before, now)])
        known, seen = [], observed(await _lanes(session), None)
    else:
        known, seen = await records.holding(session), observed(await _lanes(session), before)
    held_at = {key_of(one): max(held.get(key_of(one), before), one.since) for one in known}
    await records.change(session, changed(known, seen, held_at, now))
    await records.looked(session, now)
    return {**held_at, **dict.fromkeys(map(key_of, seen), now)}


async def _lanes(session: Session) -> Snapshot:
    """Read what the rules about lanes and customers ask for."""
    found, policies = await store.under_way(session), await all_policies(session)
    customers = {work.customer_id for works in found.running.values() for work in works}
    customers |= {ticket.customer_id for tickets in found.runways.values() for ticket in tickets}
    return Snapshot(
        now=found.now,
        workers=await store.workers(session),
        pauses={},
        running=found.running,
        runways=found.runways,
        dispatched_at=found.dispatched_at,
        places={},
        caps=await store.caps(session, customers) if customers else {},
        attempts={},
        history=learn((), None),
        policy_of=policies.of,
    )


__all__ = ["Held", "forget", "observe"]
