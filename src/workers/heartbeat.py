"""A worker's proof of life, from a thread of its own: a blocked event loop is told from a dead process."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.kit.db import driver, make_engine
from invoicing.lanes import service as lanes
from workers.settling import UNREACHABLE

log = logging.getLogger(__name__)

EVERY_S = 2.0
LEASE = timedelta(seconds=10)
"""Five beats: a worker may miss four, as through a restart of PostgreSQL, before its jobs are given to another."""

Held = set[tuple[UUID, int]]


class Heartbeat:
    """Beats every two seconds and renews the leases of everything that the worker runs, in one statement."""

    def __init__(self, url: str, worker_id: UUID, held: Callable[[Held, float], None]) -> None:
        """Beat for a worker; `held(attempts, asked_at)` is called in its event loop with the attempts it still has."""
        self._url = url
        self._worker_id = worker_id
        self._held = held
        self._loop = asyncio.get_running_loop()
        self._loop_beat = time.monotonic()
        self._stopping = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stopping(self) -> None:
        """Say with the next beat that the worker takes no more jobs."""
        self._stopping = True

    async def stop(self) -> None:
        """Beat no more."""
        self._ended.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        asyncio.run(self._beat_for_ever())

    async def _beat_for_ever(self) -> None:
        engine = make_engine(self._url, pool_size=1, overflow=0, name="invoicing-heartbeat")
        try:
            while not self._ended.is_set():
                asked_at = time.monotonic()
                with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is ending
                    self._loop.call_soon_threadsafe(self._beat_of_loop)
                try:
                    async with asyncio.timeout(LEASE.total_seconds() / 2), engine.begin() as session:
                        silent = timedelta(seconds=max(0.0, time.monotonic() - self._loop_beat - EVERY_S))
                        await lanes.beat(session, self._worker_id, silent, stopping=self._stopping)
                        held = await ledger.renew(await driver(session), self._worker_id, LEASE)
                except UNREACHABLE as error:
                    log.warning("no heartbeat: %s", error, extra={"action": "heartbeat.failed"})
                else:
                    with contextlib.suppress(RuntimeError):
                        self._loop.call_soon_threadsafe(self._held, held, asked_at)
                await asyncio.to_thread(self._ended.wait, EVERY_S)
        finally:
            await engine.dispose()

    def _beat_of_loop(self) -> None:
        self._loop_beat = time.monotonic()
