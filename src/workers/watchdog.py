"""Finds what was lost and puts it right: jobs of dead workers, and tickets that vanished from Redis."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.db import driver, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import Lane
from invoicing.transport import Transport
from workers.settling import UNREACHABLE

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_FORGET_EVERY_S = 60.0
_UNCLAIMED_FOR = timedelta(seconds=2)
_DEAD_FOR = timedelta(minutes=10)


class Watchdog:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(
        self,
        engine: AsyncEngine,
        transport: Transport,
        *,
        every_s: float = _EVERY_S,
        unclaimed_for: timedelta = _UNCLAIMED_FOR,
    ) -> None:
        """Watch a ledger and the runways; a ticket may stay unclaimed for a while before it is looked for."""
        self._engine = engine
        self._every_s = every_s
        self._unclaimed_for = unclaimed_for
        self._transport = transport
        self._ended = asyncio.Event()
        self._missing: set[tuple[UUID, int]] = set()

    def stop(self) -> None:
        """End after the rounds that are under way."""
        self._ended.set()

    async def run(self) -> None:
        """Rescue, reconcile and forget, each at its own pace."""
        await asyncio.gather(
            self._every(self._every_s, self.rescue),
            self._every(self._every_s, self.reconcile),
            self._every(_FORGET_EVERY_S, self.forget),
        )

    async def rescue(self) -> None:
        """Put jobs whose lease is over back into the queue."""
        async with self._engine.connect() as session:
            rescued = await ledger.rescue(await driver(session))
        for job_id in rescued:
            log.warning("rescued from a lost worker", extra={"action": "job.rescued", "job_id": str(job_id)})

    async def reconcile(self) -> None:
        """Put tickets on the runway again that were missing there twice, in two rounds, though nobody claimed them."""
        async with self._engine.connect() as session:
            unclaimed = await ledger.unclaimed(session, self._unclaimed_for)
        lanes_ = {Lane(*one.lane).name for one in unclaimed}
        present = {name: await self._transport.present(name) for name in sorted(lanes_)}
        missing = [one for one in unclaimed if one.ticket not in present[Lane(*one.lane).name]]
        again = [one for one in missing if one.ticket in self._missing]
        self._missing = {one.ticket for one in missing}
        if again:
            await self._transport.put([(Lane(*one.lane).name, one.ticket, one.at) for one in again])
            log.warning(
                "put lost tickets on the runway again",
                extra={"action": "runway.healed", "count": len(again)},
            )

    async def forget(self) -> None:
        """Remove registrations of workers that have been dead for long."""
        async with transaction(self._engine) as session:
            await lanes.forget_dead(session, _DEAD_FOR)

    async def _every(self, seconds: float, round_: Callable[[], Awaitable[None]]) -> None:
        while not self._ended.is_set():
            try:
                await round_()
            except (RedisError, *UNREACHABLE) as error:
                log.warning("a round failed: %s", error, extra={"action": "watchdog.round_failed"})
            except Exception:
                log.exception("a round failed", extra={"action": "watchdog.round_failed"})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), seconds)
