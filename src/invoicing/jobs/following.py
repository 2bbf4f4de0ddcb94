"""Who follows which job: one listener for the whole process, told by PostgreSQL, wakes only those concerned.

What they read then is read once for all of them: however many follow a job, a change of it costs one look.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar, cast
from uuid import UUID

T = TypeVar("T")


class Follower:
    """Somebody who waits for the next change of one job."""

    def __init__(self) -> None:
        """Start with nothing to tell."""
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Say that the job changed, or may have."""
        self._changed.set()

    async def wait(self, at_most_s: float) -> bool:
        """Wait for a change since the last wait, or for so long; tells which."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._changed.wait()
        changed = self._changed.is_set()
        self._changed.clear()
        return changed


class Followers:
    """All who follow jobs in this process."""

    def __init__(self) -> None:
        """Start with nobody."""
        self._of: dict[UUID, set[Follower]] = {}
        self._looks: dict[UUID, dict[Hashable, asyncio.Task[object]]] = {}
        """Looks under way, by job and by what is asked; none that began before the job was last told of."""
        self.ending = False
        """Set when the process is about to end: whoever waits answers with what there is."""

    @contextmanager
    def following(self, job_id: UUID) -> Iterator[Follower]:
        """Follow a job while the block runs; begin before the first look at it, so that no change falls between."""
        follower = Follower()
        self._of.setdefault(job_id, set()).add(follower)
        try:
            yield follower
        finally:
            others = self._of[job_id]
            others.discard(follower)
            if not others:
                del self._of[job_id]

    async def look(self, job_id: UUID, asked: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Look at a job, or wait for what a look that is under way and asks the same will find.

        A look that began before a change that was told is joined by nobody who comes after: it may not have seen it.
        """
        looks = self._looks.setdefault(job_id, {})
        task = looks.get(asked)
        if task is None:
            task = looks[asked] = asyncio.ensure_future(_begun(read))
            task.add_done_callback(lambda _: self._forget(job_id, looks, asked))
        return cast("T", await asyncio.shield(task))

    def _forget(self, job_id: UUID, looks: dict[Hashable, asyncio.Task[object]], asked: Hashable) -> None:
        looks.pop(asked, None)
        if not looks and self._looks.get(job_id) is looks:
            del self._looks[job_id]

    def told(self, _channel: str, payload: str) -> None:
        """Pass a notification on: the ids of the jobs that changed, or `*`."""
        if payload == "*":
            self.tell_all()
            return
        for text in payload.split(","):
            with suppress(ValueError):
                job_id = UUID(text)
                self._looks.pop(job_id, None)
                for follower in self._of.get(job_id, ()):
                    follower.tell()

    def tell_all(self) -> None:
        """Have everybody look: notifications may have been lost."""
        self._looks.clear()
        for followers in self._of.values():
            for follower in followers:
                follower.tell()

    def end(self) -> None:
        """Let nobody wait any longer."""
        self.ending = True
        self.tell_all()

    def __len__(self) -> int:
        """Count the followers."""
        return sum(map(len, self._of.values()))


async def _begun(read: Callable[[], Awaitable[object]]) -> object:
    return await read()
