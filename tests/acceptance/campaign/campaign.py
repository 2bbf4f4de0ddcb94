"""A fault campaign from beginning to end: start, clients, faults, quiet, and all that there is to see afterwards."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from .clients import GIVES_UP_AFTER_S, Client, Log
from .faults import KINDS, Hands, Happened, plan
from .flood import Flooded, flood
from .gathering import Ledger, told_jobs
from .hooks import Hooks, receiving_hooks
from .observed import Seen
from .site import Site

CUSTOMERS = ("north", "south")
_PROBER = "prober"
"""A customer apart: nothing of its own is ever before its small jobs, so that they tell whether the service works."""

_PROBE_EVERY_S = 1.0
_LOOK_EVERY_S = 2.5
"""Longer than a look at the lanes and the proofs that need a silence of two seconds."""


@dataclass(frozen=True)
class Terms:
    """How much of everything; the seed decides what and when."""

    seed: int
    seconds: float
    faults_apart: float
    clients: int = 4
    jobs_apart: float = 4.0
    """Seconds between two requests of a client, on average."""
    kinds: Sequence[str] = KINDS
    """Of faults."""
    flood: int = 0
    """How many jobs wait when, after all else, Redis is made to forget everything; 0: nothing of the kind."""
    quiet_within: float = 600.0
    """How long after the last fault everything may take to end; generous, as some of it was long work."""


@dataclass(frozen=True)
class Result:
    """What a campaign did and saw."""

    terms: Terms
    happened: Sequence[Happened]
    log: Log
    seen: Seen
    quiet_after: float
    """Seconds from the last fault until everything had ended."""
    flooded: Flooded | None = None


async def run(terms: Terms, home: Path) -> Result:
    """Run a campaign in a home folder of its own."""
    site, log = Site(home), Log()
    async with AsyncExitStack() as stack:
        hooks = await stack.enter_async_context(receiving_hooks(terms.seed))
        await site.start()
        stack.push_async_callback(site.stop)
        hands = Hands(site)
        keys = await _customers(site)
        async with _http(site) as http:
            await hooks.add(http, {customer: keys[customer] for customer in CUSTOMERS})
        try:
            await _under_fire(terms, site, hands, keys, log)
        finally:
            hands.let_go()
        quiet_after = await _quiet(terms, site)
        seen = await _look(site, keys, log, hands, hooks)
        return Result(terms, hands.happened, log, seen, quiet_after, await _flood(terms, site, keys))


async def _under_fire(terms: Terms, site: Site, hands: Hands, keys: Mapping[str, str], log: Log) -> None:
    """Have the clients work while everything breaks, and see what they asked for accepted."""
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:

        async def client(name: str, customer: str) -> Client:
            http = await stack.enter_async_context(_http(site))
            return Client(f"{terms.seed}-{name}", customer, http, keys, log)

        async with asyncio.timeout(terms.seconds + terms.quiet_within), asyncio.TaskGroup() as group:
            for number in range(terms.clients):
                one = await client(f"client-{number}", CUSTOMERS[number % len(CUSTOMERS)])
                group.create_task(one.work_until(stop, terms.jobs_apart))
            for customer in CUSTOMERS:
                watcher = await client(f"watch-{customer}", customer)
                group.create_task(watcher.watch_until(stop, _LOOK_EVERY_S))
            prober = await client("probe", _PROBER)
            probing = group.create_task(prober.probe_until(stop, _PROBE_EVERY_S))
            await hands.carry_out(plan(terms.seed, terms.seconds, terms.faults_apart, terms.kinds))
            await asyncio.sleep(2 * _PROBE_EVERY_S)  # the last fault is to be probed, too
            stop.set()
            await probing


async def _quiet(terms: Terms, site: Site) -> float:
    """Wait until every job has ended and was told, or for as long as is granted; gives how long it took."""
    began = time.monotonic()
    while time.monotonic() < began + terms.quiet_within:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, KeyError):
            async with _ledger(site) as ledger:
                if await ledger.unfinished() == await ledger.counted_waiting() == await ledger.untold() == 0:
                    break
        await asyncio.sleep(0.5)
    return time.monotonic() - began


async def _flood(terms: Terms, site: Site, keys: Mapping[str, str]) -> Flooded | None:
    if not terms.flood:
        return None
    async with _http(site) as http:  # of a customer without webhooks: what is measured is the work
        return await flood(http, keys[_PROBER], site.told["database_url"], site.told["redis_url"], terms.flood)


async def _look(site: Site, keys: Mapping[str, str], log: Log, hands: Hands, hooks: Hooks) -> Seen:
    async with _ledger(site) as ledger, _http(site) as http:
        jobs = await told_jobs(http, keys, await ledger.jobs())
        return Seen(
            requests=log.requests,
            answers=log.answers,
            jobs=jobs,
            series=await ledger.series(),
            loose=await ledger.loose(),
            counted_waiting=await ledger.counted_waiting(),
            hooks=hooks.added,
            arrivals=list(hooks.arrivals),
            sightings=log.sightings,
            kills=sum(one.kind.startswith(("kill", "cut")) for one in hands.happened),
        )


async def _customers(site: Site) -> dict[str, str]:
    """Make the customers, with limits that the campaign does not reach; gives their keys, and that of our staff."""
    admin = {"Authorization": f"Bearer {site.key('admin')}"}
    keys = {"support": site.key("support")}
    async with _http(site) as http:
        for slug in (*CUSTOMERS, _PROBER):
            form: dict[str, Any] = {"slug": slug, "name": slug.title(), "rate_per_s": 10_000, "burst": 100_000}
            made = await http.post("/v1/admin/customers", headers=admin | {"Idempotency-Key": slug}, json=form)
            made.raise_for_status()
            form = {"role": "customer", "label": "campaign", "customer": slug}
            key = await http.post("/v1/admin/keys", headers=admin | {"Idempotency-Key": f"key-{slug}"}, json=form)
            keys[slug] = key.raise_for_status().json()["key"]
    return keys


def _http(site: Site) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=site.url, timeout=GIVES_UP_AFTER_S)


@asynccontextmanager
async def _ledger(site: Site) -> AsyncIterator[Ledger]:
    connection = await asyncpg.connect(site.told["database_url"], timeout=10)
    try:
        yield Ledger(connection)
    finally:
        await connection.close()
