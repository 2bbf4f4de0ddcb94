"""What incidents find and cost: many jobs under one cause, many causes at once, a long backlog with nothing wrong."""

import asyncio
import logging
import resource
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.surroundings import Servers, servers
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import observing
from invoicing.incidents import keeping
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.kit.listen import plain_url
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES
from workers.detector import THOROUGH_EVERY

CAUSES = 50
SLOTS = 100
_NAME = "invoicing-bench-detector"
_LANES = [lane.name for lane in LANES]

_WAIT = """
INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due)
SELECT gen_random_uuid(), c.id, c.id, 'drill', 'normal', 'small', 1, 'queued', now(), now() + interval '1 day'
FROM customers c, generate_series(1, $1) WHERE c.slug = 'bench'
"""

_RUN = """
WITH made AS (
    INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due, attempt,
        started_at, lease_until, worker_id)
    SELECT gen_random_uuid(), c.id, c.id, 'drill', 'normal', 'small', 600, 'running', now(), now() + interval '1 day',
        1, now() - $3::interval, now() + interval '1 day', $1 FROM customers c, generate_series(1, $2)
    WHERE c.slug = 'bench' RETURNING id, started_at
)
INSERT INTO attempts (job_id, number, worker_id, started_at) SELECT id, 1, $1, started_at FROM made
"""

_ALIVE = "UPDATE workers SET beat_at = now() + interval '1 day', loop_beat_at = now() + interval '1 day'"

_PIDS = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"


@dataclass(frozen=True)
class Cost:
    """What the rounds of a while took: seconds of each, CPU of this process and of its session in PostgreSQL."""

    seconds: float
    rounds: Sequence[float]
    own_s: float
    session_s: float

    def at(self, share: float) -> float:
        """Give the time (ms) that this share of the rounds did not exceed."""
        return 1000 * sorted(self.rounds)[min(len(self.rounds) - 1, int(len(self.rounds) * share))]


class Ledger:
    """A ledger of one part of the measurement, with the detector's session and one beside it."""

    def __init__(self, around: Servers, engine: AsyncEngine, connection: "asyncpg.Connection[Any]") -> None:
        self.around = around
        self.engine = engine
        self.connection = connection

    async def observe(self) -> None:
        """Have the lanes looked at, as the observer does every second."""
        async with transaction(self.engine) as session:
            await observing.observe(session, {})

    async def look(self, *, thorough: bool = False) -> int:
        """Look for incidents; gives how many changed."""
        async with transaction(self.engine) as session:
            return await keeping.keep(session, thorough=thorough) or 0

    async def live(self) -> int:
        """Count the incidents that are not over."""
        found: int = await self.connection.fetchval("SELECT count(*) FROM incidents WHERE state <> 'resolved'")
        return found

    async def worker(self, host: str, slots: int) -> UUID:
        """Register a worker of all lanes."""
        worker = new_id()
        async with transaction(self.engine) as session:
            await lanes.register(session, worker, host, 1, "-", slots, _LANES, ["drill"])
        return worker


def run(pace: Pace) -> Table:
    """Measure all three; `--quick` with a short backlog."""
    logging.disable(logging.WARNING)
    table = Table("Incidents", ("what", "figure"))
    for part in (_one_cause, _many_causes, _nothing_wrong):
        with servers() as around:
            asyncio.run(_part(around, part, table, pace))
    return table


Part = Callable[[Ledger, Table, Pace], Awaitable[None]]


async def _part(around: Servers, part: Part, table: Table, pace: Pace) -> None:
    engine = make_engine(around.database_url, pool_size=1, overflow=0, name=_NAME)
    connection = await asyncpg.connect(plain_url(around.database_url))
    try:
        await part(Ledger(around, engine, connection), table, pace)
    finally:
        await connection.close()
        await engine.dispose()


async def _one_cause(ledger: Ledger, table: Table, pace: Pace) -> None:
    stuck = pace.waiting
    await ledger.connection.execute(_WAIT, stuck)
    await ledger.observe()
    await ledger.connection.execute("UPDATE conditions SET since = since - interval '1 min'")
    await ledger.connection.execute("UPDATE jobs SET submitted_at = submitted_at - interval '1 min'")
    began = time.perf_counter()
    await ledger.look(thorough=True)
    took = time.perf_counter() - began
    for _ in range(10):
        await ledger.look()
    rows = await ledger.connection.fetchval("SELECT count(*) FROM incident_changes")
    table.add(f"{stuck:,} jobs without a worker: the look that finds it", f"{1000 * took:.1f} ms")
    table.bar(f"incidents of {stuck:,} jobs stuck under one cause", await ledger.live(), at_least=1, at_most=1)
    table.bar("rows written to its timeline", rows, at_least=1, at_most=1)


async def _many_causes(ledger: Ledger, table: Table, _pace: Pace) -> None:
    for number in range(CAUSES):
        await ledger.worker(f"host-{number}", 1)
    await ledger.connection.execute("UPDATE workers SET loop_beat_at = now() - interval '1 min'")
    await ledger.observe()
    began = time.perf_counter()
    await ledger.look()
    table.add(f"{CAUSES} causes at once: the look that finds them", f"{1000 * (time.perf_counter() - began):.1f} ms")
    table.bar(f"incidents of {CAUSES} causes", await ledger.live(), at_least=CAUSES, at_most=CAUSES)


async def _nothing_wrong(ledger: Ledger, table: Table, pace: Pace) -> None:
    worker = await ledger.worker("host", SLOTS)
    await ledger.connection.execute(_ALIVE)
    await ledger.connection.execute(_RUN, worker, 2 * SLOTS, timedelta(0))
    empty = await _rounds(ledger, pace.beats_s / 2)
    await ledger.connection.execute(_WAIT, pace.million)
    await ledger.connection.execute("VACUUM ANALYZE")
    full = await _rounds(ledger, pace.beats_s)
    for name, cost in (("none", empty), (f"{pace.million:,}", full)):
        table.add(f"{name} waiting: a round, p50 / p99", f"{cost.at(0.5):.1f} / {cost.at(0.99):.1f} ms")
        table.add(f"{name} waiting: CPU of the loop", f"{cost.own_s / cost.seconds:.2%} of a core")
        table.add(f"{name} waiting: CPU of PostgreSQL for it", f"{cost.session_s / cost.seconds:.2%} of a core")
    share = 100 * (full.own_s + full.session_s) / full.seconds
    table.bar(f"CPU with {pace.million:,} waiting, % of a core", share, at_most=1)
    table.bar("a round (p50) against one with nothing waiting", full.at(0.5) / empty.at(0.5), at_most=2)
    table.bar("incidents while nothing is wrong", await ledger.live(), at_most=0)
    await ledger.connection.execute(_RUN, worker, 1_000, timedelta(hours=1))
    await ledger.look()
    table.bar(
        "incidents of 1,000 jobs among them that stand still, one look", await ledger.live(), at_least=1, at_most=1
    )


async def _rounds(ledger: Ledger, seconds: float) -> Cost:
    """Look every second, as the detector does."""
    await ledger.observe()
    await ledger.look(thorough=True)
    (session,) = [row["pid"] for row in await ledger.connection.fetch(_PIDS, _NAME)]
    own, cpu, rounds = 0.0, _cpu_s(session), list[float]()
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await ledger.connection.execute("UPDATE places SET at = now() WHERE name = 'watch'")
        used, at = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        await ledger.look(thorough=len(rounds) % THOROUGH_EVERY == 0)
        rounds.append(time.perf_counter() - at)
        after = resource.getrusage(resource.RUSAGE_SELF)
        own += after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
        await asyncio.sleep(max(0.0, 1.0 - rounds[-1]))
    return Cost(time.monotonic() - began, rounds, own, _cpu_s(session) - cpu)


def _cpu_s(pid: int) -> float:
    """Read what a process has used, to the nanosecond."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
