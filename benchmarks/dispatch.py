"""What releasing a job costs with a million waiting, beside a thousand: by the dispatcher's rounds, on real servers."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from benchmarks.backlog import add_customers, add_jobs, add_workers, beat, end, start
from benchmarks.pace import QUICK, Pace
from benchmarks.report import Table
from benchmarks.surroundings import servers

from invoicing.jobs import service as ledger
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.listen import listening, plain_url
from invoicing.lanes.leading import Lead
from invoicing.lanes.model import LANES, SIZES, Lane
from invoicing.lanes.surroundings import surroundings
from invoicing.transport import Transport, connect

_CUSTOMERS = 100
_SLOTS = 64
_LEAST_WAITING = 1_000


@dataclass
class _Measured:
    """Rounds: what each released job cost, and how long the first look at everything took."""

    costs_us: list[float]
    rounds: int
    released: int
    lead_ms: float


def run(pace: Pace) -> Table:
    """Measure both backlogs in the same run."""
    most, jobs = (20_000, 2_000) if pace is QUICK else (1_000_000, 4_000)
    with servers() as around:
        few = asyncio.run(_measure(around.database_url, around.redis_url, _LEAST_WAITING, jobs))
        many = asyncio.run(_measure(around.database_url, around.redis_url, most, jobs))
    table = Table("Cost of a released job", ("waiting", "us a job (median)", "jobs a round", "taking the lead ms"))
    for waiting, found in ((_LEAST_WAITING, few), (most, many)):
        usual = f"{statistics.median(found.costs_us):.0f}"
        table.add(f"{waiting:,}", usual, f"{found.released / found.rounds:.0f}", f"{found.lead_ms:.0f}")
    ratio = statistics.median(many.costs_us) / statistics.median(few.costs_us)
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
        async with _leading(url) as (lead, connection):
            measured = _Measured([], 0, 0, 0.0)
            while measured.released < jobs:
                await beat(fleet)
                began = time.perf_counter()
                done = await lead.round(connection)
                await transport.put([(Lane(*one.lane).name, one.ticket, one.at) for one in done.released], done.work_s)
                took = time.perf_counter() - began
                if not measured.rounds:
                    measured.lead_ms = took * 1000
                elif done.released:
                    measured.costs_us.append(took * 1e6 / len(done.released))
                measured.rounds += 1
                measured.released += len(done.released)
                lead.correct(lead.meter.ended(gone := lead.meter.gone(1_000), await ledger.used(fleet, gone)))
                tickets = await transport.take(
                    [(lane.name, SIZES.index(lane.size)) for lane in LANES], [_SLOTS] * len(SIZES), _SLOTS
                )
                await end(fleet, await start(fleet, tickets, workers))
                await add_jobs_like(fleet, len(tickets), customers)
        return measured
    finally:
        await fleet.close()
        await transport.close()
        await engine.dispose()


async def add_jobs_like(connection: "asyncpg.Connection[Any]", count: int, customers: list[Any]) -> None:
    """Let as many wait again as have gone."""
    if count:
        await connection.execute(
            """
            INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due)
            SELECT gen_random_uuid(), c, c, 'drill', 'normal', 'small', 0.2, 'queued', now() + interval '1 h', now()
            FROM unnest($1::uuid[]) AS c
            """,
            (customers * (1 + count // len(customers)))[:count],
        )


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
