"""Keeps the runways short and full: woken by every commit that gives it something to decide."""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.tracing import Traces
from invoicing.kit.db import Session, driver, transaction
from invoicing.kit.listen import listening
from invoicing.kit.tallies import Timings
from invoicing.lanes.leading import Lead, Round
from invoicing.lanes.model import BY_PARTS
from invoicing.lanes.policies import CHANGED
from invoicing.lanes.surroundings import accounts, fold, keep_accounts, looked, surroundings
from invoicing.transport import Transport
from workers.rounds import UNREACHABLE

log = logging.getLogger(__name__)

_BACKOFF_S = 0.5
_SURROUNDINGS_EVERY_S = 0.5
_BOOKS_EVERY_S = 1.0
_ENDS_EVERY_S = 0.25
_MOST_ENDS = 2_000
_ROUND_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_LEADER = text("SELECT pg_try_advisory_lock(hashtext('invoicing.dispatcher'))")


class Dispatcher:
    """Releases jobs from the ledger to the runways; several may run, one leads."""

    def __init__(self, engine: AsyncEngine, url: str, transport: Transport, traces: Traces | None = None) -> None:
        """Move jobs from a ledger into Redis."""
        self._traces = traces
        self._engine = engine
        self._url = url
        self._transport = transport
        self._look = asyncio.Event()
        self._stale = asyncio.Event()
        self._stopping = False
        self._in_round_since: float | None = None
        """None: waiting for something to decide."""
        self.leads = False
        self.rounds = Timings(_ROUND_BOUNDS_S)
        self.released: Counter[tuple[str, str]] = Counter()
        """Jobs put on the runways so far, by priority and size."""
        self.failed: Counter[str] = Counter()
        """How often so far it could not lead, or not put what it had released."""

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stopping = True
        self._look.set()

    async def run(self) -> None:
        """Lead, or wait to lead, until told to stop."""
        while not self._stopping:
            try:
                async with self._lead() as session:
                    if session is not None:
                        log.info("leading", extra={"action": "dispatcher.leading"})
                        self.leads = True
                        await self._dispatch(session)
            except UNREACHABLE as error:
                self.failed["lead"] += 1
                log.warning("cannot lead: %s", error, extra={"action": "dispatcher.lead_failed"})
            finally:
                self.leads = False
            await self._wait(_BACKOFF_S)

    @asynccontextmanager
    async def _lead(self) -> AsyncIterator[Session | None]:
        """Hold the leader's lock on the connection that every round uses: whoever loses it has lost the lead."""
        async with self._engine.connect() as session:
            leads = await session.scalar(_LEADER)
            await session.commit()
            try:
                yield session if leads else None
            finally:
                await session.invalidate()  # closing the connection gives the lock back

    async def _dispatch(self, session: Session) -> None:
        lead = await self._rebuilt()

        def told(channel: str, payload: str) -> None:
            if channel == ledger.BACKLOG:
                lead.notices.hear(payload)
            if channel in {CHANGED, ledger.DEPENDENCIES} or not payload:
                self._stale.set()
            self._look.set()

        connection = await driver(session)
        await ledger.prepare(connection)
        channels = [ledger.BACKLOG, ledger.DEPENDENCIES, CHANGED]
        async with (
            listening(self._url, channels, told, missed=lambda: told(ledger.BACKLOG, "")),
            _beside(self._refresh(lead), self._keep_books(lead), self._look_up_ends(lead)),
        ):
            until = time.monotonic()
            while not self._stopping:
                woken = await self._wait(until - time.monotonic())
                if not woken or lead.worth_a_round:
                    began, began_ns = time.monotonic(), time.time_ns()
                    self._in_round_since = began
                    done = await lead.round(connection)
                    ended = time.monotonic()
                    self.rounds.add(ended - began)
                    until = ended + done.wait_s
                    await self._put(done)
                    self._in_round_since = None
                    self._trace(done, began_ns)

    async def _rebuilt(self) -> Lead:
        """Begin with what the one kept that led before."""
        async with transaction(self._engine) as session:
            return Lead(await surroundings(session), await accounts(session))

    async def _wait(self, at_most_s: float) -> bool:
        """Wait until something is told; tells whether it was."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._look.wait()
        except TimeoutError:
            return False
        self._look.clear()
        return True

    async def _put(self, done: Round) -> None:
        """Put what was released on the runways; what cannot be put now is put by the watchdog: only late, not lost."""
        if not done.released:
            return
        tickets = [(BY_PARTS[one.lane].name, one.ticket, one.at) for one in done.released]
        self.released.update(one.lane for one in done.released)
        try:
            await self._transport.put(tickets, done.work_s)
        except (RedisError, OSError) as error:
            self.failed["put"] += 1
            log.warning("cannot reach Redis: %s", error, extra={"action": "dispatcher.put_failed"})

    def _trace(self, done: Round, began_ns: int) -> None:
        if self._traces is not None:
            for one in done.released:
                self._traces.release(one.job_id, one.attempt, one.lane, began_ns)

    async def _refresh(self, lead: Lead) -> None:
        """Notice workers that come and go, another policy, other weights and caps."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SURROUNDINGS_EVERY_S):
                    await self._stale.wait()
            self._stale.clear()
            async with _supervised("refresh"), transaction(self._engine) as session:
                if lead.adopt(await surroundings(session)):
                    self._look.set()

    async def _keep_books(self, lead: Lead) -> None:
        """Keep the accounts, fold the tallies, and write that somebody looks, or how long a round takes already."""
        while True:
            await asyncio.sleep(_BOOKS_EVERY_S)
            async with _supervised("books"), transaction(self._engine) as session:
                await keep_accounts(session, lead.scheduler.counters())
                await fold(session)
                begun = self._in_round_since
                await looked(session, 0.0 if begun is None else time.monotonic() - begun)

    async def _look_up_ends(self, lead: Lead) -> None:
        """Correct what was charged for attempts that ended."""
        while True:
            await asyncio.sleep(_ENDS_EVERY_S)
            gone = lead.meter.gone(_MOST_ENDS)
            if gone:
                async with _supervised("ends"), self._engine.connect() as session:
                    used = await ledger.used(await driver(session), gone)
                    lead.correct(lead.meter.ended(gone, used))


@asynccontextmanager
async def _beside(*loops: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run loops while the block runs."""
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _supervised(name: str) -> AsyncIterator[None]:
    """Let a loop beside the rounds go on whatever it meets."""
    try:
        yield
    except UNREACHABLE as error:
        log.warning("cannot do %s: %s", name, error, extra={"action": "dispatcher.beside_failed"})
    except Exception:
        log.exception("cannot do %s", name, extra={"action": "dispatcher.beside_failed"})
