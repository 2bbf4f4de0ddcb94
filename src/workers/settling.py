"""The ends of attempts on their way into the ledger, many in one statement; kept until they are written."""

import asyncio
import contextlib
import logging

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Settlement
from invoicing.kit.db import driver

log = logging.getLogger(__name__)

_MOST_BACKOFF_S = 2.0

UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError)
"""What a database that is away, or is coming back, is reported as."""


class Settler:
    """Writes settlements in batches: whatever waits when a commit returns goes into the next."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through an engine."""
        self._engine = engine
        self._waiting: list[tuple[Settlement, asyncio.Future[bool]]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_for_ever(), name="settle")

    async def settle(self, settlement: Settlement) -> bool:
        """Write the end of an attempt; False when it was no longer the current one and nothing was changed."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((settlement, written))
        self._wake.set()
        return await written

    async def stop(self) -> None:
        """Write what waits, then end."""
        await asyncio.gather(*(written for _, written in self._waiting), return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _write_for_ever(self) -> None:
        backoff = 0.05
        while True:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            if not group:
                continue
            try:
                async with self._engine.connect() as session:
                    settled = await ledger.settle(await driver(session), [settlement for settlement, _ in group])
            except UNREACHABLE as error:
                log.warning("cannot settle yet: %s", error, extra={"action": "settle.delayed", "count": len(group)})
                self._waiting = [*group, *self._waiting]
                self._wake.set()
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MOST_BACKOFF_S)
                continue
            backoff = 0.05
            for settlement, written in group:
                if not written.done():
                    written.set_result(settlement.job_id in settled)
