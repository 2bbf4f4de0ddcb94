"""Learns how long jobs really take, as they end: sizes and the cut-offs between classes. Part of the watchdog process.

Any number of them may run: one learns at a time, and what one has learned no other learns again.
"""

import asyncio
import contextlib
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import transaction
from invoicing.lanes.learning import Lesson, learn_on
from workers.settling import UNREACHABLE

log = logging.getLogger(__name__)

_EVERY_S = 2.0


class Learner:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S) -> None:
        """Learn from a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._ended = asyncio.Event()

    def stop(self) -> None:
        """End after the round that is under way."""
        self._ended.set()

    async def run(self) -> None:
        """Learn from what has finished, and again a little later."""
        while not self._ended.is_set():
            try:
                lesson = await self.round()
            except UNREACHABLE as error:
                lesson = Lesson()
                log.warning("cannot learn now: %s", error, extra={"action": "learning.failed"})
            except Exception:
                lesson = Lesson()
                log.exception("cannot learn", extra={"action": "learning.failed"})
            if not lesson.more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), self._every_s)

    async def round(self) -> Lesson:
        """Learn once, all or nothing."""
        async with transaction(self._engine) as session:
            lesson = await learn_on(session)
        if lesson.jobs:
            log.info("learned", extra={"action": "learning.learned", "jobs": lesson.jobs, "late": lesson.late})
        return lesson
