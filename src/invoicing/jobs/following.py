"""Who follows which job: one listener for the whole process, told by PostgreSQL, wakes only those concerned."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID


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

    def told(self, _channel: str, payload: str) -> None:
        """Pass a notification on: the ids of the jobs that changed, or `*`."""
        if payload == "*":
            self.tell_all()
            return
        for text in payload.split(","):
            with suppress(ValueError):
                for follower in self._of.get(UUID(text), ()):
                    follower.tell()

    def tell_all(self) -> None:
        """Have everybody look: notifications may have been lost."""
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
