"""A fleet of a thousand workers and a million jobs an hour through the dispatcher itself; the workers are rows."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from benchmarks.backlog import add_customers, add_workers, beat, end, start
from benchmarks.pace import QUICK, Pace
from benchmarks.report import Table
from benchmarks.surroundings import ROOT, Servers, servers

from invoicing.kit.listen import plain_url
from invoicing.lanes.model import LANES, SIZES
from invoicing.transport import Ticket, Transport, connect

_CUSTOMERS = 500
_SLOTS = 4
_MEAN_S = 8.0
_EVERY_S = 0.05
_BEAT_EVERY_S = 3.0

# as customers send: mostly small and medium work, some of it large; what is predicted is what it takes
_ACCEPT = """
INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due)
SELECT gen_random_uuid(), c, c, 'drill', p, CASE WHEN s <= 1 THEN 'small' WHEN s <= 30 THEN 'medium' ELSE 'large' END,
    s, 'queued', now() + interval '20 s', now() FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS a(c, p, s)
"""


@dataclass
class _Fleet:
    """What the fleet has to do when, and what became of it."""

    workers: list[UUID]
    ends: list[tuple[float, Ticket]] = field(default_factory=list)
    started: int = 0
    ended: int = 0
    free: int = 0


def run(pace: Pace) -> Table:
    """Measure after a while of warming up, over a minute (or some seconds)."""
    workers, rate, warm_s, measured_s = (100, 30.0, 4.0, 6.0) if pace is QUICK else (1_000, 1e6 / 3600, 30.0, 60.0)
    with servers() as around, _leader(around) as leader:
        before, after, jobs, waits = asyncio.run(_measure(around, leader, workers, rate, warm_s, measured_s))
    took = {name: after[name] - before[name] for name in before}
    table = Table(f"{workers:,} workers of {_SLOTS} slots, {rate * 3600:,.0f} jobs an hour", ("what", "figure"))
    table.add("jobs released", f"{took['released']:,.0f}")
    table.add("jobs started by the fleet", f"{jobs:,}")
    table.add("dispatcher's CPU for a job (us)", f"{1e6 * took['cpu_s'] / max(1, took['released']):.0f}")
    table.add("dispatcher's CPU (share of one core)", f"{took['cpu_s'] / measured_s:.0%}")
    table.add("time in rounds (share)", f"{took['busy_s'] / measured_s:.0%}")
    table.add("rounds a second", f"{took['rounds'] / measured_s:.1f}")
    table.add("from acceptance to start, p50 / p99 (ms)", f"{waits[0]:.0f} / {waits[1]:.0f}")
    table.bar("released / accepted", took["released"] / (rate * measured_s), at_least=0.95)
    table.bar("leader's CPU, share of a core", took["cpu_s"] / measured_s, at_most=0.5)
    return table


@contextmanager
def _leader(around: Servers) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.leader", around.database_url, around.redis_url]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=around.environment()) as started:
        assert started.stdout is not None
        started.stdout.readline()
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)


async def _measure(
    around: Servers, leader: "subprocess.Popen[str]", workers: int, rate: float, warm_s: float, measured_s: float
) -> tuple[dict[str, float], dict[str, float], int, tuple[float, float]]:
    transport = Transport(connect(around.redis_url))
    connections = [await asyncpg.connect(plain_url(around.database_url)) for _ in range(4)]
    customers = await add_customers(connections[0], _CUSTOMERS)
    fleet = _Fleet(await add_workers(connections[0], workers, _SLOTS), free=workers * _SLOTS)
    loops = [
        asyncio.create_task(work)
        for work in (
            _customers(connections[0], customers, rate),
            _beats(connections[1]),
            _starts(connections[2], transport, fleet),
            _ends(connections[3], fleet),
        )
    ]
    await asyncio.sleep(warm_s)
    before, started = await _counts(leader), fleet.started
    await asyncio.sleep(measured_s)
    after, jobs = await _counts(leader), fleet.started - started
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    reader = await asyncpg.connect(plain_url(around.database_url))
    waits = await reader.fetchrow(
        """
        SELECT percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - submitted_at))
        FROM jobs WHERE started_at > now() - $1 * interval '1 s'
        """,
        measured_s,
    )
    for connection in (*connections, reader):
        connection.terminate()
    await transport.close()
    p50, p99 = (waits and waits[0]) or (0.0, 0.0)
    return before, after, jobs, (1000 * p50, 1000 * p99)


async def _counts(leader: "subprocess.Popen[str]") -> dict[str, float]:
    assert leader.stdout is not None
    leader.send_signal(signal.SIGUSR1)
    counts: dict[str, float] = json.loads(await asyncio.to_thread(leader.stdout.readline))
    return counts


async def _customers(connection: "asyncpg.Connection[Any]", customers: list[UUID], rate: float) -> None:
    """Submit at the rate, as often as jobs come together."""
    draw = random.Random(3)
    began, sent = time.monotonic(), 0
    while True:
        count = int((time.monotonic() - began) * rate) - sent
        if count:
            whose = [draw.choice(customers) for _ in range(count)]
            named = [f"+{one}:{one}" for one in whose]
            priorities = draw.choices(["urgent", "normal", "bulk"], [1, 7, 2], k=count)
            takes = [min(120.0, draw.paretovariate(1.2) * _MEAN_S / 6) for _ in range(count)]
            sizes = ["small" if took <= 1 else "medium" if took <= 30 else "large" for took in takes]
            told = ",".join(":".join(parts) for parts in zip(named, priorities, sizes, strict=True))
            async with connection.transaction():
                await connection.execute(_ACCEPT, whose, priorities, takes)
                await connection.execute("SELECT pg_notify('invoicing_backlog', $1)", told if len(told) < 7_000 else "")
            sent += count
        await asyncio.sleep(_EVERY_S)


async def _beats(connection: "asyncpg.Connection[Any]") -> None:
    while True:
        await beat(connection)
        await asyncio.sleep(_BEAT_EVERY_S)


async def _starts(connection: "asyncpg.Connection[Any]", transport: Transport, fleet: _Fleet) -> None:
    """Take and claim what lies on the runways, a few workers at a time."""
    served = [(lane.name, SIZES.index(lane.size)) for lane in LANES]
    while True:
        tickets = await transport.take(served, [fleet.free] * len(SIZES), max(0, fleet.free))
        workers = random.sample(fleet.workers, min(len(fleet.workers), max(1, len(tickets))))
        got = await start(connection, tickets, workers) if tickets else []
        if got:
            rows = await connection.fetch(
                "SELECT id, predicted_s FROM jobs WHERE id = ANY($1)", [job for job, _ in got]
            )
            takes = {row["id"]: row["predicted_s"] for row in rows}
            fleet.ends += [(time.monotonic() + takes[job], (job, attempt)) for job, attempt in got]
            fleet.started += len(got)
            fleet.free -= len(got)
        await asyncio.sleep(_EVERY_S / 5)


async def _ends(connection: "asyncpg.Connection[Any]", fleet: _Fleet) -> None:
    """Settle what is done."""
    while True:
        now = time.monotonic()
        done = [one for one in fleet.ends if one[0] <= now]
        fleet.ends = [one for one in fleet.ends if one[0] > now]
        if done:
            await end(connection, [ticket for _, ticket in done])
            fleet.ended += len(done)
            fleet.free += len(done)
        await asyncio.sleep(_EVERY_S)
