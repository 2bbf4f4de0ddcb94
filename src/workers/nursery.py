"""Warm child processes at hand: one is always ready, so that no job waits for a process to start."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from invoicing.jobs.model import Size
from workers.launching import PROGRAM, Launched
from workers.messages import Surroundings
from workers.sandbox import ChildProcess, resident_mb

log = logging.getLogger(__name__)

NICE = {Size.SMALL: 0, Size.MEDIUM: 5, Size.LARGE: 10, Size.HUGE: 15}
"""CPU priority of a child by the class of its job: larger work yields the processor to smaller work."""

_RECYCLE_AFTER = 5_000
_RECYCLE_ABOVE_MB = 700
"""A child that has performed so many attempts, or still holds so much memory after one, is replaced."""

_START_BACKOFF_S = 1.0


class Nursery:
    """Keeps a child for each slot warm, and another one when those that work may do so for long."""

    def __init__(
        self, around: Surroundings, wanted: int, program: Sequence[str] = PROGRAM, launched: Launched | None = None
    ) -> None:
        """Want so many children, and start none yet; `launched` becomes the first."""
        self._around = around
        self._program = program
        self._launched = launched
        self._wanted = wanted
        self._more = False
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._arrived = asyncio.Condition()
        self._grow = asyncio.Event()
        self._tender: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to start children; returns when the first one is warm."""
        self._grow.set()
        self._tender = asyncio.create_task(self._tend(), name="nursery")
        async with self._arrived:
            await self._arrived.wait_for(lambda: bool(self._idle))

    def want(self, children: int) -> None:
        """Want another number of children; those that are too many end after their attempt."""
        self._wanted = children
        self._grow.set()

    def expect_more(self) -> None:
        """Have one of full weight at hand although all may be busy for long: some of them may be set aside."""
        if not self._more and not self._fresh():
            self._more = True
            self._grow.set()

    def take_now(self, size: Size) -> ChildProcess | None:
        """Take a warm child for a job of a class if one is there."""
        child = self._pick(size)
        if child is not None:
            self._idle.remove(child)
            self._busy.add(child)
            child.renice(NICE[size])
        return child

    async def take(self, size: Size) -> ChildProcess:
        """Take a warm child for a job of a class, waiting for one if need be."""
        async with self._arrived:
            while (child := self.take_now(size)) is None:
                self._more = True
                self._grow.set()
                await self._arrived.wait()
        return child

    async def give_back(self, child: ChildProcess) -> None:
        """Take a child back after its attempt; one that is spent or dead is replaced."""
        self._busy.discard(child)
        if self._is_fit(child) and self._is_of_use(child):
            async with self._arrived:
                self._idle.append(child)
                self._arrived.notify_all()
        else:
            await child.close()
        self._grow.set()

    async def close(self) -> None:
        """End every child."""
        if self._tender is not None:
            self._tender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tender
        await asyncio.gather(*(child.close() for child in [*self._idle, *self._busy]))

    @staticmethod
    def _is_fit(child: ChildProcess) -> bool:
        return child.alive and child.performed < _RECYCLE_AFTER and resident_mb(child.pid) < _RECYCLE_ABOVE_MB

    def _is_of_use(self, child: ChildProcess) -> bool:
        """Tell whether to keep a child: of full weight as many as are wanted, of each other weight one."""
        child.renice(0)
        most = self._wanted if child.nice == 0 else 1
        return sum(other.nice == child.nice for other in self._idle) < most

    def _pick(self, size: Size) -> ChildProcess | None:
        """Choose the idle child with the lowest fitting weight: raising it again needs rights that we may not have."""
        fitting = [child for child in self._idle if child.alive and child.nice <= NICE[size]]
        return max(fitting, key=lambda child: child.nice, default=None)

    async def _tend(self) -> None:
        """Start children one after the other while a full-weight one is wanted."""
        while True:
            await self._grow.wait()
            self._grow.clear()
            for child in [child for child in self._idle if not child.alive]:
                self._idle.remove(child)
                await child.close()
            while self._short():
                try:
                    launched, self._launched = self._launched, None
                    child = await ChildProcess.start(self._around, self._program, launched)
                except (OSError, EOFError, ValueError) as error:
                    log.error("a child did not start: %s", error, extra={"action": "child.start_failed"})  # noqa: TRY400 - one line is enough
                    await asyncio.sleep(_START_BACKOFF_S)
                    continue
                self._more = False
                async with self._arrived:
                    self._idle.append(child)
                    self._arrived.notify_all()

    def _short(self) -> bool:
        """Tell whether another child is wanted: fewer than wanted in all, or no idle one of full weight."""
        return len(self._idle) + len(self._busy) < self._wanted or (self._more and not self._fresh())

    def _fresh(self) -> bool:
        return any(child.nice == 0 for child in self._idle)
