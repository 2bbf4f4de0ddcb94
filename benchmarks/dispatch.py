"""What releasing a job costs with a million waiting, beside a thousand: by the dispatcher's rounds, on real servers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from benchmarks.backlog import add_customers, add_jobs, add_workers, beat, end, start
from benchmarks.pace import QUICK, Pace
from benchmarks.report import Table
from benchmarks.surroundings import servers

from invoicing.jobs import service as ledger
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.kit.listen import listening, plain_url
from invoicing.lanes.leading import Lead
from invoicing.lanes.model import LANES, SIZES, Lane
from invoicing.lanes.surroundings import surroundings
from invoicing.transport import Transport, connect

_CUSTOMERS = 100
_SLOTS = 64
_LEAST_WAITING = 1_000
_LEAST_ROUNDS = 50

_TAKEN = 2_000
"""So many of these short jobs the fleet ends between two rounds: nothing that was released stands still."""

_TOLD_AT_ONCE = 50
_TOLD = "SELECT pg_notify('invoicing_backlog', $1)"

_ACCEPT = """
INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due)
SELECT id, c, c, 'drill', 'normal', 'small', 0.2, 'queued', now() + interval '1 h', now()
FROM unnest($1::uuid[], $2::uuid[]) AS a(id, c)
"""


@dataclass
class _Measured:
    """Rounds: how long they took and what they released, and how long the first look at everything took."""

    took_s: list[float] = field(default_factory=list)
    released: int = 0
    lead_ms: float = 0.0

    @property
    def cost_us(self) -> float:
        """What a released job cost."""
        return 1e6 * sum(self.took_s) / self.released


def run(pace: Pace) -> Table:
    """Measure both backlogs in the same run."""
    most, jobs = (20_000, 2_000) if pace is QUICK else (1_000_000, 20_000)
    with servers() as around:
        few = asyncio.run(_measure(around.database_url, around.redis_url, _LEAST_WAITING, jobs))
        many = asyncio.run(_measure(around.database_url, around.redis_url, most, jobs))
    table = Table("Cost of a released job", ("waiting", "us a job", "jobs a round", "taking the lead ms"))
    for waiting, found in ((_LEAST_WAITING, few), (most, many)):
        each = found.released / len(found.took_s)
        table.add(f"{waiting:,}", f"{found.cost_us:.0f}", f"{each:.0f}", f"{found.lead_ms:.0f}")
    ratio = many.cost_us / few.cost_us
    table.bar(f"cost with {most:,} waiting / cost with {_LEAST_WAITING:,}", ratio, at_most=1.3)
    return table


async def _measure(url: str, redis_url: str, waiting: int, jobs: int) -> _Measured:
    engine = make_engine(url)
    transport = Transport(connect(redis_url))
    fleet = await asyncpg.connect(plain_url(url))
    try:
        await fleet.execute("TRUNCATE jobs, workers, tallies, tally_changes CASCADE")
        await transport.redis.flushall()
        customers = await add_customers(fleet, _CUSTOMERS)
        workers = await add_workers(fleet, _SLOTS // 4, 4)
        await add_jobs(fleet, waiting, customers, 0.2)
        await fleet.execute("VACUUM ANALYZE jobs")
        await beat(fleet)  # who leads counts only workers that live
        async with _leading(url) as (lead, connection):
            measured = _Measured()
            while measured.released < jobs or len(measured.took_s) < _LEAST_ROUNDS:
                await beat(fleet)
                began = time.perf_counter()
                done = await lead.round(connection)
                await transport.put([(Lane(*one.lane).name, one.ticket, one.at) for one in done.released], done.work_s)
                took = time.perf_counter() - began
                if not measured.lead_ms:
                    measured.lead_ms = took * 1000
                elif done.released:
                    measured.took_s.append(took)
                    measured.released += len(done.released)
                lead.correct(lead.meter.ended(gone := lead.meter.gone(1_000), await ledger.used(fleet, gone)))
                tickets = await transport.take(
                    [(lane.name, SIZES.index(lane.size)) for lane in LANES], [_TAKEN] * len(SIZES), _TAKEN
                )
                await end(fleet, await start(fleet, tickets, workers))
                await add_jobs_like(fleet, len(done.released), customers)
        return measured
    finally:
        await fleet.close()
        await transport.close()
        await engine.dispose()


async def add_jobs_like(connection: "asyncpg.Connection[Any]", count: int, customers: list[Any]) -> None:
    """Let as many wait again as have gone, and tell of them as whoever accepts them does."""
    whose = (customers * (1 + count // len(customers)))[:count]
    for place in range(0, count, _TOLD_AT_ONCE):
        some = whose[place : place + _TOLD_AT_ONCE]
        async with connection.transaction():
            await connection.execute(_ACCEPT, [new_id() for _ in some], some)
            await connection.execute(_TOLD, ",".join(f"+{one}:{one}:normal:small" for one in some))


@asynccontextmanager
async def _leading(url: str) -> AsyncIterator[tuple[Lead, "asyncpg.Connection[Any]"]]:
    """Know what the dispatcher that leads knows, and hear what it hears."""
    engine = make_engine(url)
    async with transaction(engine) as session:
        lead = Lead(await surroundings(session), {})
    connection = await asyncpg.connect(plain_url(url))
    await ledger.prepare(connection)
    async with listening(url, [ledger.BACKLOG], lambda _c, text: lead.notices.hear(text), missed=lambda: None):
        yield lead, connection
    await connection.close()
    await engine.dispose()
