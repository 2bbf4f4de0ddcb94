"""What `doctor` asks PostgreSQL and Redis: do they answer, do they keep what they are told, who works, what is held."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.cli import schema
from invoicing.cli.checks import BROKEN, OK, WARNING, Finding
from invoicing.customers import service as customers
from invoicing.jobs import service as ledger
from invoicing.kit.clock import now
from invoicing.kit.db import Session, is_away, make_engine
from invoicing.lanes import service as lanes
from invoicing.outbox import signals as outbox
from invoicing.transport import connect

_CLOCKS_APART = timedelta(seconds=2)
"""Beyond this, times shown beside each other would tell a wrong order; leases do not mind, they use one clock."""

_MOST_NAMED = 5
"""Jobs under quarantine, and customers that are paused, that are named."""

_MOST_OVERDUE = 100
"""Overdue reviews that are counted."""

_OUTBOX_LATE_S = 120.0
"""Twice the lease of a message: whatever a relay that died had claimed has been sent by then."""

_SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


async def servers(database_url: str | None, redis_url: str | None) -> list[Finding]:
    """Check both servers."""
    return [*[one async for one in _postgres(database_url)], *[one async for one in _redis(redis_url)]]


async def _postgres(url: str | None) -> AsyncIterator[Finding]:
    if url is None:
        yield Finding("postgresql", WARNING, "not checked: nothing runs, no INVOICING_DATABASE_URL", "`invoicing up`")
        return
    engine = make_engine(url, pool_size=1, overflow=0, name="invoicing-doctor")
    try:
        async with asyncio.timeout(15), engine.connect() as session:
            version = await session.scalar(text("SHOW server_version"))
            yield Finding("postgresql", OK, f"PostgreSQL {version} answers")
            yield await _clock(session)
            yield await _durable(session)
            revision = await _revision(url)
            yield revision
            if revision.condition == OK:
                yield await _workers(session)
                yield await _pauses(session)
                yield await _customers(session)
                yield await _quarantine(session)
                yield await _reviews(session)
                yield await _outside(session)
                yield await _outbox(session)
    except Exception as error:
        if not is_away(error):
            raise
        yield Finding("postgresql", BROKEN, f"does not answer: {error}", "Start it, or correct INVOICING_DATABASE_URL.")
    finally:
        await engine.dispose()


async def _clock(session: Session) -> Finding:
    before = now()
    there = (await session.execute(text("SELECT clock_timestamp()"))).scalar_one()
    apart = abs(there - before)
    seen = f"PostgreSQL's clock differs from this machine's by {apart.total_seconds():.3f} s"
    if apart > _CLOCKS_APART:
        return Finding("clock", BROKEN, seen, "Set both clocks by NTP.")
    return Finding("clock", OK, seen)


async def _durable(session: Session) -> Finding:
    found = {name: str(await session.scalar(text(f"SHOW {name}"))) for name in _SAFE}
    wrong = {name: value for name, value in found.items() if value != _SAFE[name]}
    if wrong:
        seen = ", ".join(f"{name} = {value}" for name, value in wrong.items())
        return Finding("durability", BROKEN, seen, "A 202 could be lost in a power cut: set them to on.")
    return Finding("durability", OK, ", ".join(f"{name} = {value}" for name, value in found.items()))


async def _revision(url: str) -> Finding:
    there, newest = await schema.current(url), schema.newest()
    if there == newest:
        return Finding("tables", OK, f"at revision {there}")
    return Finding("tables", BROKEN, f"at revision {there or 'none'}, this build needs {newest}", "`invoicing migrate`")


async def _workers(session: Session) -> Finding:
    known = await lanes.all_workers(session)
    serving = [one for one in known if one.alive and not one.stopping]
    if not serving:
        return Finding("workers", BROKEN, "none serves the lanes: nothing is carried out", "Start `invoicing worker`.")
    slots = sum(one.slots for one in serving)
    seen = f"{'1 serves' if len(serving) == 1 else f'{len(serving)} serve'} the lanes, {slots} slots"
    blocked = [one for one in serving if one.beat_at - one.loop_beat_at > timedelta(seconds=10)]
    if blocked:
        pids = ", ".join(str(one.pid) for one in blocked)
        return Finding("workers", BROKEN, f"{seen}; the event loop of {pids} is blocked", "Restart those processes.")
    return Finding("workers", OK, seen)


async def _pauses(session: Session) -> Finding:
    paused = [one for one in await lanes.standings(session) if one.pause is not None]
    if not paused:
        return Finding("lanes", OK, "none is paused")
    seen = "; ".join(
        f"{one.lane.name} until {one.pause.until:%Y-%m-%d %H:%M} UTC by {one.pause.by}: {one.pause.reason}"
        for one in paused
        if one.pause
    )
    return Finding("lanes", WARNING, f"paused: {seen}", "If that is over: `invoicing lanes resume LANE`.")


async def _customers(session: Session) -> Finding:
    pauses = await customers.active_pauses(session)
    if not pauses:
        return Finding("customers", OK, "none is paused")
    named = [
        f"{await customers.slug_of(session, paused)} until {one.until:%Y-%m-%d %H:%M} UTC by {one.by}: {one.reason}"
        for paused, one in list(pauses.items())[:_MOST_NAMED]
    ]
    seen = f"{len(pauses)} paused: {'; '.join(named)}"
    return Finding("customers", WARNING, seen, "If that is over: `invoicing customers resume SLUG --reason ...`.")


async def _quarantine(session: Session) -> Finding:
    """Name the jobs on which too many workers died, with where and when; the timeline of each has what ran beside."""
    losses: dict[tuple[UUID, str], list[str]] = {}
    for one in await ledger.quarantined(session):
        back = f", which was back at {one.returned_at:%H:%M:%S}" if one.returned_at else ""
        said = f"attempt {one.attempt} on {one.host or 'an unknown host'} at {one.lost_at:%Y-%m-%d %H:%M:%S} UTC{back}"
        losses.setdefault((one.job_id, one.kind), []).append(said)
    if not losses:
        return Finding("quarantine", OK, "no job is in it")
    named = "; ".join(f"{job} ({kind}): {', '.join(said)}" for (job, kind), said in list(losses.items())[:_MOST_NAMED])
    seen = f"workers died on {len(losses)} job{'s' if len(losses) > 1 else ''}: {named}"
    return Finding("quarantine", WARNING, seen, "Look for the reason there (memory?), then `invoicing jobs retry JOB`.")


async def _reviews(session: Session) -> Finding:
    """Count what was to be decided by now: its customers were told a time, and it is over."""
    overdue = [one for one in await ledger.open_holds(session, None, _MOST_OVERDUE) if one.overdue]
    if not overdue:
        return Finding("reviews", OK, "none is overdue")
    more = "+" if len(overdue) == _MOST_OVERDUE else ""
    owners = ", ".join(sorted({one.owner for one in overdue if one.owner})[:_MOST_NAMED])
    seen = f"overdue: {len(overdue)}{more}, the first since {overdue[0].due:%Y-%m-%d %H:%M:%S} UTC, of: {owners}"
    return Finding("reviews", WARNING, seen, "`invoicing holds`, then `invoicing jobs release` or `reject`.")


async def _outside(session: Session) -> Finding:
    """Name what is down that jobs need from outside."""
    down = (await ledger.breakers(session)).values()
    if not down:
        return Finding("outside", OK, "nothing that jobs need is down")
    seen = "; ".join(
        f"{one.title} ({one.name}) since {one.opened_at:%Y-%m-%d %H:%M:%S} UTC ({one.error}), tried {one.tries} times"
        for one in down
    )
    remedy = "What needs it is held back and goes on by itself; see the incident: `invoicing incidents list`."
    return Finding("outside", WARNING, f"down: {seen}", remedy)


async def _outbox(session: Session) -> Finding:
    """Say what was given up, or is not being sent: customers were to be told."""
    found = await outbox.read_signals(session)
    dead, held = sum(one.dead for one in found), max(one.held for one in found)
    late_s = max(one.overdue_s for one in found)
    if late_s > _OUTBOX_LATE_S:
        seen = f"a message is overdue by {late_s:.0f} s: nobody sends"
        return Finding("outbox", BROKEN, seen, "See whether `invoicing watchdog` runs, and its log.")
    left_alone = f"; left alone for a while because they failed: {held}" if held else ""
    if dead:
        several = "" if dead == 1 else "s"
        seen = f"{dead}{'+' if dead >= outbox.MOST_COUNTED else ''} dead letter{several}{left_alone}"
        return Finding("outbox", WARNING, seen, "Their customers see why, and can have them resent: docs/webhooks.md.")
    return Finding("outbox", OK, f"no dead letter{left_alone}")


async def _redis(url: str | None) -> AsyncIterator[Finding]:
    if url is None:
        yield Finding("redis", WARNING, "not checked: nothing runs, no INVOICING_REDIS_URL", "`invoicing up`")
        return
    client = connect(url, connections=1)
    try:
        async with asyncio.timeout(15):
            about: Mapping[str, object] = await client.info()
            version = about.get("valkey_version") or about.get("redis_version")
            yield Finding("redis", OK, f"{about.get('server_name', 'redis')} {version} answers")
            yield _kept(about)
    except Exception as error:  # noqa: BLE001 - redis errors have no class that this room may import
        yield Finding("redis", BROKEN, f"does not answer: {error}", "Start it, or correct INVOICING_REDIS_URL.")
    finally:
        await client.aclose()


def _kept(about: Mapping[str, object]) -> Finding:
    """Look at what Redis keeps: all in it can be rebuilt, but a restart that forgets costs seconds."""
    policy = about.get("maxmemory_policy")
    if policy not in {"noeviction", None}:
        return Finding("redis data", BROKEN, f"maxmemory-policy {policy}", "It may drop tickets: set noeviction.")
    if not about.get("aof_enabled"):
        return Finding("redis data", WARNING, "appendonly is off", "A restart empties the runways: set appendonly yes.")
    return Finding("redis data", OK, "appendonly is on, nothing is evicted")
