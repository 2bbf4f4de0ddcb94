"""Keeps the runways short and full: woken by every commit that gives it something to decide."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.kit.listen import listening
from invoicing.lanes import service as lanes
from invoicing.transport import Transport
from workers.settling import UNREACHABLE

log = logging.getLogger(__name__)

_LOOK_AT_LEAST_EVERY_S = 1.0
_BACKOFF_S = 0.5
_LEADER = text("SELECT pg_try_advisory_lock(hashtext('invoicing.dispatcher'))")


class Dispatcher:
    """Releases jobs from the ledger to the runways; several may run, one leads."""

    def __init__(self, engine: AsyncEngine, url: str, transport: Transport) -> None:
        """Move jobs from a ledger into Redis."""
        self._engine = engine
        self._url = url
        self._transport = transport
        self._look = asyncio.Event()
        self._stopping = False

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
                        await self._dispatch(session)
            except UNREACHABLE as error:
                log.warning("cannot lead: %s", error, extra={"action": "dispatcher.lead_failed"})
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
        async with listening(self._url, [ledger.BACKLOG], lambda _c, _p: self._look.set(), missed=self._look.set):
            while not self._stopping:
                await self._wait(await self._round(session))

    async def _wait(self, at_most_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._look.wait(), at_most_s)
        self._look.clear()

    async def _round(self, session: Session) -> float:
        """Fill the runways once; gives how long there is nothing to do unless something happens (seconds)."""
        async with session.begin():
            tickets = await lanes.fill_runways(session)
            due_in = await ledger.next_due_in(session)
        if tickets:
            try:
                await self._transport.put(tickets)
            except (RedisError, OSError) as error:
                # what was released and not put is put again by the watchdog: nothing is lost, only late
                log.warning("cannot reach Redis: %s", error, extra={"action": "dispatcher.put_failed"})
                return _BACKOFF_S
        return _LOOK_AT_LEAST_EVERY_S if due_in is None else min(_LOOK_AT_LEAST_EVERY_S, max(0.001, due_in))
