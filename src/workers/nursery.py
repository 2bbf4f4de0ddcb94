"""Child processes at hand: warm ones for all slots and one that is only loaded, so that no job waits for a start."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from invoicing.jobs.model import Size
from workers.launching import PROGRAM, Launched
from workers.messages import Surroundings
from workers.sandbox import ChildProcess, resident_mb

log = logging.getLogger(__name__)

NICE = {Size.SMALL: 0, Size.MEDIUM: 5, Size.LARGE: 10, Size.HUGE: 15}
"""CPU priority of a child by the class of its job: larger work yields the processor to smaller work."""

_RECYCLE_AFTER, _RECYCLE_AFTER_S = 5_000, 120.0
"""A child that has performed so many attempts is replaced, once it has been at them for so long: warming another up
takes seconds of CPU. Of several each has its own number, so that they do not all go at once."""

_RECYCLE_ABOVE_MB = 700
"""And so is one that still holds so much memory after an attempt."""

_START_BACKOFF_S = 1.0

_UNDERSTUDIES = 1
"""Children beyond those wanted, loaded but not warm (a quarter of the memory): when work is set aside with its child,
other work starts in one of them at once."""


class Nursery:
    """Keeps so many children warm as are wanted, and an understudy; those set aside with their work do not count."""

    def __init__(
        self, around: Surroundings, wanted: int, program: Sequence[str] = PROGRAM, launched: Launched | None = None
    ) -> None:
        """Want so many children, and start none yet; `launched` becomes the first."""
        self.came: Callable[[], None] = lambda: None
        """Called when a child came to hand."""
        self.started = 0
        """Children started so far."""
        self.killed: Counter[str] = Counter()
        """How many were ended so far while they performed, or died by themselves, by the code of what it made fail."""
        self._around = around
        self._program = program
        self._launched = launched
        self._wanted = wanted
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._aside: set[ChildProcess] = set()
        """Those of the busy ones whose work holds no slot."""
        self._warming: ChildProcess | None = None
        self._loading = False
        self._ready = asyncio.Event()
        """Set when the first one is warm."""
        self._arrived = asyncio.Condition()
        self._stirred = (asyncio.Event(), asyncio.Event())
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to start children; returns when the first one is warm."""
        loaded, warmed = self._stirred
        self._tasks = [
            asyncio.create_task(self._tend(loaded, self._load), name="nursery loads"),
            asyncio.create_task(self._tend(warmed, self._warm_up), name="nursery warms"),
        ]
        self._stir()
        await self._ready.wait()

    def want(self, children: int) -> None:
        """Want another number of children; those that are too many end after their attempt."""
        self._wanted = children
        self._stir()

    @property
    def at_hand(self) -> int:
        """How many children could be given work at once."""
        return sum(child.alive for child in self._idle)

    def take_now(self, size: Size) -> ChildProcess | None:
        """Take a child for a job of a class if one is there."""
        child = self._pick(size)
        if child is not None:
            self._idle.remove(child)
            self._busy.add(child)
            child.renice(NICE[size])
            self._stir()
        return child

    async def take(self, size: Size) -> ChildProcess:
        """Take a child for a job of a class, waiting for one if need be."""
        async with self._arrived:
            while (child := self.take_now(size)) is None:
                self._stir()
                await self._arrived.wait()
        return child

    def set_aside(self, child: ChildProcess) -> None:
        """Have another child at hand for the slot that this one's work no longer holds."""
        self._aside.add(child)
        self._stir()

    def bring_back(self, child: ChildProcess) -> None:
        """Count a child among those wanted again: its work holds a slot."""
        self._aside.discard(child)

    async def give_back(self, child: ChildProcess) -> None:
        """Take a child back after its attempt; one that is spent or dead is replaced, and one too many ends."""
        self._busy.discard(child)
        self._aside.discard(child)
        if child.ended_for is not None:
            self.killed[child.ended_for.code] += 1
        child.renice(0)
        spare: ChildProcess | None = child
        if _is_fit(child):
            self._idle.append(child)
            spare = self._one_too_many(child)
        if spare is not None:
            with contextlib.suppress(ValueError):
                self._idle.remove(spare)
        if spare is not child:
            await self._announce()
        self._stir()
        if spare is not None:
            await spare.close()

    def counts(self) -> dict[str, int]:
        """Count the children by what they are doing; from any thread."""
        busy, aside = len(self._busy), len(self._aside)
        return {"idle": len(self._idle), "busy": busy - aside, "aside": aside, "warming": self._warming is not None}

    async def close(self) -> None:
        """End every child."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(child.close() for child in [*self._idle, *self._busy]))

    def _pick(self, size: Size) -> ChildProcess | None:
        """Choose a warm one before a cold one, and the lowest fitting weight: raising it again may need rights."""
        fitting = [child for child in self._idle if child.alive and child.nice <= NICE[size]]
        return max(fitting, key=lambda child: (child.warm, child.nice), default=None)

    def _one_too_many(self, given_back: ChildProcess) -> ChildProcess | None:
        """Choose which idle child ends now that one was given back: of each lower weight one is kept."""
        same = [child for child in self._idle if child.nice == given_back.nice]
        if given_back.nice != 0:
            return given_back if len(same) > 1 else None
        if self._present() <= self._wanted + _UNDERSTUDIES:
            return None
        warm = self._warm() > self._wanted
        return next((child for child in same if child.warm == warm), given_back)

    async def _announce(self) -> None:
        """Tell those who wait for a child that one came."""
        async with self._arrived:
            self._arrived.notify_all()
        self.came()

    def _stir(self) -> None:
        for event in self._stirred:
            event.set()

    async def _tend(self, stirred: asyncio.Event, look: Callable[[], Awaitable[None]]) -> None:
        """Look after the children whenever something changed."""
        while True:
            await stirred.wait()
            stirred.clear()
            await look()

    async def _load(self) -> None:
        """Start children one after the other while there are too few."""
        for child in [child for child in self._idle if not child.alive]:
            self._idle.remove(child)
            await child.close()
        while self._is_short():
            try:
                self._loading = True
                launched, self._launched = self._launched, None
                child = await ChildProcess.start(self._around, self._program, launched)
            except (OSError, EOFError, ValueError) as error:
                log.error("a child did not start: %s", error, extra={"action": "child.start_failed"})  # noqa: TRY400 - one line is enough
                await asyncio.sleep(_START_BACKOFF_S)
                continue
            finally:
                self._loading = False
            self.started += 1
            self._idle.append(child)
            await self._announce()
            self._stir()

    async def _warm_up(self) -> None:
        """Warm cold children up one after the other while too few are warm."""
        while (child := self._to_warm()) is not None:
            self._idle.remove(child)
            self._warming = child
            try:
                await child.warm_up()
            except (OSError, EOFError, ValueError) as error:
                log.error("a child did not warm up: %s", error, extra={"action": "child.start_failed"})  # noqa: TRY400 - one line is enough
                await asyncio.sleep(_START_BACKOFF_S)
                continue
            finally:
                self._warming = None
                self._stir()
            self._idle.append(child)
            self._ready.set()
            await self._announce()

    def _is_short(self) -> bool:
        """Tell whether another child is to be loaded.

        The first one is warmed up before. Later there is no hurry while one warms up and another is at hand; if none
        is, the one that warms up does not count, since it may take seconds.
        """
        present, warming = self._present(), self._warming is not None
        if not self._ready.is_set():
            return present == 0
        if warming and self._fresh():
            return False
        return present - warming < self._wanted + _UNDERSTUDIES

    def _to_warm(self) -> ChildProcess | None:
        """Choose a cold child that nobody needs at once: another one is at hand, except before all begins."""
        fresh = self._fresh()
        if self._warm() >= self._wanted or self._loading or (len(fresh) < 2 and self._ready.is_set()):
            return None
        return next((child for child in fresh if not child.warm), None)

    def _present(self) -> int:
        """Count the children of full weight, and all those whose work holds a slot."""
        return len(self._fresh()) + len(self._busy - self._aside) + (self._warming is not None)

    def _warm(self) -> int:
        return sum(child.warm for child in [*self._fresh(), *(self._busy - self._aside)])

    def _fresh(self) -> list[ChildProcess]:
        """List the idle children of full weight."""
        return [child for child in self._idle if child.alive and child.nice == 0]


def _is_fit(child: ChildProcess) -> bool:
    return child.alive and not _has_done_its_share(child) and resident_mb(child.pid) < _RECYCLE_ABOVE_MB


def _has_done_its_share(child: ChildProcess) -> bool:
    share = _RECYCLE_AFTER + child.pid % _RECYCLE_AFTER
    return child.performed >= share and child.worked_s >= _RECYCLE_AFTER_S
