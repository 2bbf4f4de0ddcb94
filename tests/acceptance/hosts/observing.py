"""What is seen from outside while ways are lost: who runs what since when, and how soon work is done."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx

from ..campaign.checker import violations
from ..campaign.clients import GIVES_UP_AFTER_S, Client, Log
from ..campaign.gathering import Ledger, told_jobs
from ..campaign.observed import Request, Seen
from ..campaign.work import HEALTHY, Work
from .site import Site

T = TypeVar("T")

_INVOICE = Path(__file__).parents[3] / "examples" / "small.json"

_ATTEMPTS = """
SELECT a.job_id::text, a.number, a.outcome, w.pid, extract(epoch FROM a.started_at)::float8 AS started_at,
    extract(epoch FROM a.ended_at)::float8 AS ended_at
FROM attempts a LEFT JOIN workers w ON w.id = a.worker_id ORDER BY a.started_at
"""


@dataclass(frozen=True)
class Attempt:
    """A row of the attempts, with the process that made it; times are PostgreSQL's."""

    job_id: str
    number: int
    outcome: str | None
    pid: int | None
    started_at: float
    ended_at: float | None


class Program(Client):
    """A customer's program that asks for what it is told to; all that it sends and is answered is written down."""

    async def order(self, work: Work) -> Request:
        """Ask for some work, until it is accepted."""
        request = self._request(work)
        async with asyncio.timeout(GIVES_UP_AFTER_S):
            await self._submit(request, work)
        return request

    async def orders(self, works: Sequence[Work]) -> list[Request]:
        """Ask for several."""
        return list(await asyncio.gather(*map(self.order, works)))


class Observer:
    """A customer's host: its program, and a way into the ledger that no loss touches."""

    def __init__(self, site: Site, program: Program, log: Log, http: httpx.AsyncClient, ledger: Any) -> None:
        """Look at a site."""
        self.site = site
        self.program = program
        self._log = log
        self._http = http
        self._ledger = ledger

    async def attempts(self, of: Sequence[Request] = ()) -> list[Attempt]:
        """List the attempts, of some jobs or of all, in the order in which they began."""
        wanted = {job_id for request in of for job_id in request.ids}
        found = [Attempt(*row) for row in await self._ledger.fetch(_ATTEMPTS)]
        return [one for one in found if not of or one.job_id in wanted]

    async def running_on(self, host: str, of: Sequence[Request] = ()) -> list[Attempt]:
        """List the attempts that a worker is at."""
        pid = self.site.pid(host)
        return [one for one in await self.attempts(of) if one.pid == pid and one.ended_at is None]

    async def ended(self, of: Sequence[Request], within_s: float) -> list[Attempt]:
        """Wait until all of some jobs have succeeded; gives their attempts."""
        ids = {job_id for request in of for job_id in request.ids}

        async def all_ended() -> list[Attempt] | None:
            found = await self.attempts(of)
            return found if {one.job_id for one in found if one.outcome == "succeeded"} == ids else None

        return await until(all_ended, within_s)

    async def served_after(self, healed: float, host: str, within_s: float) -> float:
        """Ask for small work until a worker has done some of it that it began after a moment; gives the seconds."""
        pid = self.site.pid(host)
        draw = random.Random(host)

        async def served() -> float | None:
            works = [drill(0.05, draw) for _ in range(12)]
            ours = await self.ended(await self.program.orders(works), within_s)
            began = [one.started_at for one in ours if one.pid == pid and one.started_at > healed]
            return min(began) - healed if began else None

        return await until(served, within_s)

    async def refused_since(self, at: float, within_s: float) -> bool:
        """Wait until a request that was sent since a moment was refused, and told when to come again."""

        async def refused() -> bool:
            return any(one.at >= at and one.status == 503 and one.retry_after for one in self._log.answers)

        return await until(refused, within_s)

    async def all_well(self, within_s: float = 60.0) -> None:
        """Wait until nothing is unfinished, then hold all that was ever seen against the campaign's rules."""
        ledger = Ledger(self._ledger)

        async def quiet() -> bool:
            return await ledger.unfinished() == 0 and await ledger.counted_waiting() == 0

        await until(quiet, within_s)
        seen = Seen(
            requests=self._log.requests,
            answers=self._log.answers,
            jobs=await told_jobs(self._http, self.site.keys, await ledger.jobs()),
            series=await ledger.series(),
            loose=await ledger.loose(),
            counted_waiting=await ledger.counted_waiting(),
        )
        assert violations(seen) == []


@asynccontextmanager
async def observing(site: Site, log: Log, name: str) -> AsyncIterator[Observer]:
    """Look at a site while the block runs; the log goes on from one to the next."""
    (customer,) = site.keys
    async with httpx.AsyncClient(base_url=site.url, timeout=GIVES_UP_AFTER_S) as http:
        ledger: Any = await asyncpg.connect(site.database_url, timeout=30)
        try:
            keys: Mapping[str, str] = site.keys | {"support": ""}
            yield Observer(site, Program(name, customer, http, keys, log), log, http, ledger)
        finally:
            ledger.terminate()


def invoice() -> Work:
    """Ask for a small invoice, always in the same series."""
    return Work(json.loads(_INVOICE.read_text()), HEALTHY)


def drill(seconds: float, draw: random.Random, chunks: int = 1) -> Work:
    """Sleep for about so long."""
    payload = {"seconds": round(seconds * draw.uniform(0.95, 1.05), 3), "chunks": chunks, "mode": "sleep"}
    return Work({"kind": "drill", "payload": payload}, HEALTHY)


async def until(look: Callable[[], Awaitable[T | None]], within_s: float) -> T:
    """Look again and again until there is something; `AssertionError` where there is nothing in time."""
    deadline = time.monotonic() + within_s
    while not (found := await look()):
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s"
        await asyncio.sleep(0.1)
    return found


@contextlib.asynccontextmanager
async def beside(work: Callable[[asyncio.Event], Awaitable[None]]) -> AsyncIterator[None]:
    """Do something while the block runs, then let it come to its end."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(work(stop))
    try:
        yield
    finally:
        stop.set()
    await task
