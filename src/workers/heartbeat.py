"""A worker's proof of life, from a thread of its own: a blocked event loop is told from a dead process."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session, driver, make_engine
from invoicing.lanes import service as lanes
from invoicing.lanes.policies import Policies, all_policies
from workers.rounds import UNREACHABLE

log = logging.getLogger(__name__)

BEATS = 5
LEASE = timedelta(seconds=10)
"""So many beats long, however long it is set to be: a worker may miss four, as through a restart of PostgreSQL, before
its jobs are given to another."""

_OVERSLEPT = 2
"""Who sleeps for so many beats instead of one was stopped, or had no processor."""

Attempts = Mapping[tuple[UUID, int], bool]
"""Attempts that a worker still has, each with whether cancelling was asked for."""


class LoopSigns:
    """When an event loop was last seen to run, by a thread beside it that looks every so often (seconds)."""

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Take it as seen just now."""
        self._every_s = every_s
        self._clock = clock
        self._seen = clock()

    def seen(self) -> None:
        """Note that it runs."""
        self._seen = self._clock()

    @contextlib.contextmanager
    def asleep(self) -> Iterator[None]:
        """Sleep until the next look; who wakes far too late stood still with the whole process, not with its loop."""
        began = self._clock()
        yield
        if self._clock() - began > _OVERSLEPT * self._every_s:
            self.seen()

    @property
    def silent_for(self) -> timedelta:
        """How much longer than it takes to look it has not been seen."""
        return timedelta(seconds=max(0.0, self._clock() - self._seen - self._every_s))


class Heartbeat:
    """Renews the leases of everything that the worker runs, in one statement, and registers it where it is unknown."""

    def __init__(
        self,
        url: str,
        worker_id: UUID,
        register: Callable[[Session], Awaitable[None]],
        running: Callable[[], Sequence[tuple[UUID, int]]],
        held: Callable[[Sequence[tuple[UUID, int]], Attempts], None],
        agreed: Callable[[Policies], int],
        *,
        lease: timedelta = LEASE,
    ) -> None:
        """Beat for a worker.

        `running()` lists its attempts, at any moment and from another thread; `held(asked, held)` is called in its
        event loop with those that were asked about and those that it still has; `agreed(policies)` is told what holds
        now, from another thread, and gives how many slots the worker offers.
        """
        self._url = url
        self._worker_id = worker_id
        self._register = register
        self._running = running
        self._held = held
        self._agreed = agreed
        self._every_s = lease.total_seconds() / BEATS
        self._lease = lease
        self._loop = asyncio.get_running_loop()
        self._signs = LoopSigns(self._every_s)
        self.beats: Counter[str] = Counter()
        """How many beats were written so far, and how many were not."""
        self.renewed = 0
        """Leases renewed so far."""
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
                self._in_loop(self._signs.seen)
                try:
                    async with asyncio.timeout(self._lease.total_seconds() / 2), engine.begin() as session:
                        await self._beat(session)
                except UNREACHABLE as error:
                    self.beats["failed"] += 1
                    log.warning("no heartbeat: %s", error, extra={"action": "heartbeat.failed"})
                except Exception:  # without this thread every lease runs out, while the worker goes on to take jobs
                    self.beats["failed"] += 1
                    log.exception("no heartbeat", extra={"action": "heartbeat.failed"})
                else:
                    self.beats["done"] += 1
                with self._signs.asleep():
                    await asyncio.to_thread(self._ended.wait, self._every_s)
        finally:
            await engine.dispose()

    async def _beat(self, session: Session) -> None:
        slots = self._agreed(await all_policies(session))
        if not await lanes.beat(session, self._worker_id, self._signs.silent_for, stopping=self._stopping, slots=slots):
            await self._register(session)
        asked = self._running()
        held = await ledger.renew(await driver(session), self._worker_id, asked, self._lease)
        self.renewed += len(held)
        self._in_loop(lambda: self._held(asked, held))

    def _in_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is ending
            self._loop.call_soon_threadsafe(call)
