"""Learns how long jobs really take, as they end: sizes and the cut-offs between classes. Part of the watchdog process.

Any number of them may run: one learns at a time, and what one has learned no other learns again.
"""

import logging
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.bell import Bell
from invoicing.kit.db import transaction, url_of
from invoicing.kit.listen import listening
from invoicing.lanes.learning import Lesson, learn_on
from workers.pulse import Pulses
from workers.rounds import UNREACHABLE

log = logging.getLogger(__name__)

_EVERY_S = 2.0

_GATHER_S = 0.03
"""Jobs that outgrow their class within so long are learned from together: lies mostly begin together."""


class Learner:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S, pulses: Pulses | None = None) -> None:
        """Learn from a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._bell = Bell(_GATHER_S)
        self._outgrown: set[UUID] = set()
        """Jobs that outgrew their class since the last round; they may have given way already."""
        self._stopping = False
        self._pulse = (pulses or Pulses()).of("learn", every_s)

    def stop(self) -> None:
        """End after the round that is under way."""
        self._stopping = True
        self._bell.ring()

    async def run(self) -> None:
        """Learn from what has finished, again a little later, and at once when a job outgrew its class."""
        ring = self._bell.ring

        def told(_channel: str, job_id: str) -> None:
            self._outgrown.add(UUID(job_id))
            ring()

        async with listening(url_of(self._engine), [ledger.OUTGROWN], told, missed=ring):
            await self._learn_for_ever()

    async def _learn_for_ever(self) -> None:
        while not self._stopping:
            try:
                with self._pulse.round():
                    lesson = await self.round()
            except UNREACHABLE as error:
                lesson = Lesson()
                log.warning("cannot learn now: %s", error, extra={"action": "learning.failed"})
            except Exception:
                lesson = Lesson()
                log.exception("cannot learn", extra={"action": "learning.failed"})
            if not lesson.more:
                await self._bell.wait(self._every_s)

    async def round(self) -> Lesson:
        """Learn once, all or nothing."""
        outgrown = set(self._outgrown)
        async with transaction(self._engine) as session:
            lesson = await learn_on(session, outgrown)
        self._outgrown -= outgrown
        if lesson.jobs:
            log.info("learned", extra={"action": "learning.learned", "jobs": lesson.jobs, "late": lesson.late})
        return lesson
