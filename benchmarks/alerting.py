"""From the instant at which a cause can be proven to the alert at Alertmanager: a real watchdog, a real Alertmanager.

What each cause waits for by design is planted as nearly over: it is stated beside, and not measured again.
"""

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.surroundings import Servers, keys_of, process, servers
from tests.acceptance.alerts.real_alertmanager import PROGRAM, Alertmanager, alertmanager
from tests.integration.outbox.receiver import Receiver, receiving

from invoicing.diagnosis.model.facts import ALIVE_FOR
from invoicing.diagnosis.model.running import QUIET_S
from invoicing.incidents.model.causes import FAILED_JOBS, OPENS_AFTER, Cause
from invoicing.kit.ids import new_id
from invoicing.kit.listen import plain_url
from invoicing.lanes.model import LANES
from workers.detector import THOROUGH_EVERY

AT_MOST_S = 5.0
_WATCHDOG = "from workers.main import watchdog; from invoicing.settings import read; watchdog(read())"
_ALONE, _NOBODYS = "bulk-huge", "bulk-large"
_SERVED = [lane.name for lane in LANES if lane.name not in {_ALONE, _NOBODYS}]
_SETTLES_S = 6.0
_LOOK_EVERY_S = 0.02
_WITHIN_S = 60.0
_SOON = (0.2, 1.2)
"""Seconds from when a cause is planted until it can be proven: at any phase of the rounds."""

_WORKER = """
INSERT INTO workers (id, host, pid, build, slots, lanes, kinds, beat_at, loop_beat_at)
VALUES ($1, $2, 1, '-', 100, $3, '{drill}', now() + $4 * interval '1 s', now() + interval '1 day')
RETURNING extract(epoch FROM beat_at)::float8
"""

_WAITS = """
INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, submitted_at, order_at, promise_due)
SELECT gen_random_uuid(), id, 'drill', $1, $2, 1, 'queued', now() - interval '1 min', now(), now() + interval '1 day'
FROM customers WHERE slug = 'bench'
"""

_RUNS = """
WITH made AS (
    INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due, attempt,
        started_at, lease_until, worker_id)
    SELECT gen_random_uuid(), id, 'drill', 'normal', 'small', 1, 'running', now(), now() + interval '1 day', 1,
        now() - $2 * interval '1 s', now() + interval '1 day', $1 FROM customers WHERE slug = 'bench'
    RETURNING id, started_at
)
INSERT INTO attempts (job_id, number, worker_id, started_at) SELECT id, 1, $1, started_at FROM made
RETURNING extract(epoch FROM started_at)::float8
"""

_FAILS = """
WITH made AS (
    INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due, attempt,
        failures, due_at, error)
    SELECT gen_random_uuid(), id, 'drill', 'normal', 'medium', 1, 'retrying', now(), now() + interval '1 day', 1, 1,
        now() + interval '1 h', '{"code": "register_down", "message": "It does not answer."}'
    FROM customers, generate_series(1, $2) RETURNING id
)
INSERT INTO attempts (job_id, number, worker_id, ended_at, outcome) SELECT id, 1, $1, now(), 'failed' FROM made
RETURNING extract(epoch FROM clock_timestamp())::float8
"""

_BEAT = """
UPDATE workers SET beat_at = now() + $2 * interval '1 s' WHERE id = $1 RETURNING extract(epoch FROM beat_at)::float8
"""

_HANDED_OUT = """
INSERT INTO dispatching (looked_at) VALUES (now() + $1 * interval '1 s')
ON CONFLICT (single) DO UPDATE SET looked_at = excluded.looked_at RETURNING extract(epoch FROM looked_at)::float8
"""

_RESTORE = (
    "SELECT FROM places FOR UPDATE",
    "SELECT pg_advisory_xact_lock(hashtext('invoicing.incidents'))",
    "DELETE FROM jobs",
    "DELETE FROM attempts",
    "DELETE FROM workers",
    "DELETE FROM conditions",
    "DELETE FROM messages",
    "DELETE FROM alerts",
    "DELETE FROM incidents",
)
"""So that the next repetition begins as this one did: nobody looks meanwhile."""

_CHANNELS = "SELECT count(*) FROM alert_channels"

_DAY_S = 86_400.0

Plant = Callable[["Site"], Awaitable[float]]


class Arrivals(Protocol):
    """What has received alerts."""

    async def incidents(self, cause: Cause) -> set[str]:
        """Name the incidents of a cause of which it has heard."""


@dataclass(frozen=True)
class _Real:
    """An Alertmanager, asked again and again."""

    running: Alertmanager

    async def incidents(self, cause: Cause) -> set[str]:
        return {one["labels"]["incident"] for one in await self.running.alerts(filter=f'cause="{cause}"')}


@dataclass(frozen=True)
class _Shaped:
    """A receiver that takes what an Alertmanager would."""

    receiver: Receiver

    async def incidents(self, cause: Cause) -> set[str]:
        labels = (alert["labels"] for got in self.receiver.got for alert in got.json)
        return {one["incident"] for one in labels if one["cause"] == cause}


@dataclass
class Site:
    """A ledger in which causes are planted, and who hears of them."""

    connection: "asyncpg.Connection[Any]"
    arrivals: Arrivals
    chance: random.Random
    all: UUID = field(default_factory=new_id)
    alone: UUID = field(default_factory=new_id)
    heard: set[str] = field(default_factory=set)

    async def restore(self) -> None:
        """Let all be well: workers live, the backlog is looked at, nothing waits."""
        async with self.connection.transaction():
            for statement in _RESTORE:
                await self.connection.execute(statement)
            self.all, self.alone = new_id(), new_id()
            await self.moment(_WORKER, self.all, "host", _SERVED, _DAY_S)
            await self.moment(_WORKER, self.alone, "host-alone", [_ALONE], _DAY_S)
            await self.moment(_HANDED_OUT, _DAY_S)

    async def moment(self, statement: str, *values: object) -> float:
        """Do something to the ledger that says a time."""
        found: float = await self.connection.fetchval(statement, *values)
        return found

    def soon_s(self) -> float:
        """Say how long it takes from now until something can be proven."""
        return self.chance.uniform(*_SOON)

    async def waits_for(self, cause: Cause) -> float:
        """Wait until an incident of a cause is known there that was not; gives when."""
        async with asyncio.timeout(_WITHIN_S):
            while not (fresh := await self.arrivals.incidents(cause) - self.heard):  # noqa: ASYNC110 - another process
                await asyncio.sleep(_LOOK_EVERY_S)
        self.heard |= fresh
        return time.time()


async def _no_worker(site: Site) -> float:
    await site.connection.execute(_WAITS, *_ALONE.split("-"))
    silent_s = ALIVE_FOR.total_seconds()
    return silent_s + await site.moment(_BEAT, site.alone, site.soon_s() - silent_s)


async def _worker_lost(site: Site) -> float:
    worker, silent_s = new_id(), ALIVE_FOR.total_seconds()
    await site.moment(_RUNS, worker, 1)
    return silent_s + await site.moment(_WORKER, worker, f"host-{worker}", [], site.soon_s() - silent_s)


async def _undelivered(site: Site) -> float:
    await site.connection.execute(_WAITS, "normal", "small")
    held_s = OPENS_AFTER[Cause.UNDELIVERED].total_seconds()
    return held_s + await site.moment(_HANDED_OUT, site.soon_s() - held_s + 2)


async def _no_progress(site: Site) -> float:
    return QUIET_S + await site.moment(_RUNS, site.all, QUIET_S - site.soon_s())


async def _dependency_down(site: Site) -> float:
    return await site.moment(_FAILS, site.all, FAILED_JOBS)


@dataclass(frozen=True)
class _Fault:
    plant: Plant
    waits_s: float
    """From the fault itself until the cause can be proven, or until the incident may open."""


_FAULTS: Mapping[Cause, _Fault] = {
    Cause.NO_WORKER: _Fault(_no_worker, ALIVE_FOR.total_seconds()),
    Cause.WORKER_LOST: _Fault(_worker_lost, ALIVE_FOR.total_seconds()),
    Cause.UNDELIVERED: _Fault(_undelivered, OPENS_AFTER[Cause.UNDELIVERED].total_seconds()),
    Cause.NO_PROGRESS: _Fault(_no_progress, QUIET_S),
    Cause.DEPENDENCY_DOWN: _Fault(_dependency_down, 0.0),
}


def run(pace: Pace) -> Table:
    """Plant the five causes together, so many times; `--quick` a few times."""
    where = "a real Alertmanager" if PROGRAM else "a receiver of its API: no Alertmanager is here"
    table = Table(
        f"From provable to the alert, {pace.outages} times each, at {where}",
        ("cause", "waits by design", "from then on: p50", "p99", "longest", "from the fault itself, longest"),
    )
    with servers() as around:
        asyncio.run(keys_of(around.database_url, "other"))
        took = asyncio.run(_all(around, pace.outages))
    for cause, ones in took.items():
        waits_s, p99 = _FAULTS[cause].waits_s, _at(ones, 0.99)
        table.add(
            cause, f"{waits_s:g} s", f"{_at(ones, 0.5):.2f} s", f"{p99:.2f} s", f"{max(ones):.2f} s",
            f"{waits_s + max(ones):.1f} s",
        )  # fmt: skip
        table.bar(f"s, p99 from provable to the alert, {cause}", p99, at_most=AT_MOST_S)
    return table


def _at(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def _all(around: Servers, times: int) -> dict[Cause, list[float]]:
    took: dict[Cause, list[float]] = {cause: [] for cause in _FAULTS}
    async with _site(around) as site:
        for _ in range(times):
            await site.restore()
            for cause, one in zip(_FAULTS, await asyncio.gather(*_each(site)), strict=True):
                took[cause].append(one)
    return took


def _each(site: Site) -> list[Awaitable[float]]:
    planting = asyncio.Lock()

    async def one(cause: Cause) -> float:
        await asyncio.sleep(site.chance.uniform(0, THOROUGH_EVERY))
        provable = await _planted(site, _FAULTS[cause].plant, planting)
        return await site.waits_for(cause) - provable

    return [one(cause) for cause in _FAULTS]


async def _planted(site: Site, plant: Plant, planting: asyncio.Lock) -> float:
    """Plant a cause as one transaction, on the one connection; gives when it can be proven."""
    async with planting, site.connection.transaction():
        return await plant(site)


@asynccontextmanager
async def _site(around: Servers) -> AsyncIterator[Site]:
    async with _arrivals(around.folder) as (url, arrivals):
        told = replace(around, settings={**around.settings, "INVOICING_ALERTMANAGER_URL": url})
        connection = await asyncpg.connect(plain_url(around.database_url))
        site = Site(connection, arrivals, random.Random(1))
        await site.restore()
        try:
            with process([sys.executable, "-c", _WATCHDOG], told.environment()):
                while not await connection.fetchval(_CHANNELS):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_LOOK_EVERY_S)
                await asyncio.sleep(_SETTLES_S)
                yield site
        finally:
            await connection.close()


@asynccontextmanager
async def _arrivals(folder: Path) -> AsyncIterator[tuple[str, Arrivals]]:
    if PROGRAM:
        async with alertmanager(folder / "alertmanager") as running:
            yield running.url, _Real(running)
    else:
        async with receiving() as receiver:
            yield receiver.url, _Shaped(receiver)
