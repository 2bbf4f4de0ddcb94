"""Carries maintenance windows out: tells whom they touch, shifts promises, drains lanes, ends. Part of the watchdog.

Any number of them may run: a window is taken by one at a time, for one step in one transaction.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.agreements import Agreements
from invoicing.jobs.kinds import Kinds
from invoicing.kit.db import is_away, transaction
from invoicing.maintenance import carrying_out
from invoicing.maintenance.carrying_out import SETTLED_AFTER, Step
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_TURN = 10
"""Steps of one window before the others have their turn: one that shifts a hundred thousand promises holds up none."""

_LOOK_EVERY_S = 60.0
"""How often it is looked whether windows touch customers by now whom they did not touch when they were announced."""


class Maintainer:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(
        self,
        engine: AsyncEngine,
        load: Callable[[], Kinds] = dict,
        *,
        every_s: float = _EVERY_S,
        settled_after: timedelta = SETTLED_AFTER,
        pulses: Pulses | None = None,
    ) -> None:
        """Look after the windows of a ledger; `load` takes long and runs in a thread when it is needed first."""
        self._engine = engine
        self._load = load
        self._kinds: Kinds | None = None
        self._agreements = Agreements()
        self._every_s = every_s
        self._settled_after = settled_after
        self._looked: dict[UUID, float] = {}
        self._rounds = Rounds("look after maintenance", "maintenance.failed", pulses)

    def stop(self) -> None:
        """End after the step that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Look again and again whether there is anything to do."""
        await self._rounds.every("maintenance", self._every_s, self._all)

    async def _all(self) -> None:
        """Do all that is due now."""
        while await self.round() and not self._rounds.ending:
            pass

    async def round(self) -> bool:
        """Do what is due about each window, up to a bound, and tell whether more is.

        One that cannot be dealt with does not keep the others.
        """
        async with self._engine.connect() as session:
            found = await carrying_out.unfinished(session)
        if not found:
            self._looked.clear()
            return False
        await self._learn()
        more = False
        for window_id in found:
            try:
                more |= await self._carry_out(window_id)
            except Exception as error:
                if is_away(error):
                    raise
                about = {"action": "maintenance.failed", "window": str(window_id)}
                log.exception("cannot carry a maintenance window out", extra=about)
        return more

    async def _learn(self) -> None:
        """Know by which calendars promises are counted."""
        if self._kinds is None:
            self._kinds = await asyncio.to_thread(self._load)
        async with self._engine.connect() as session:
            await self._agreements.refresh(session)

    async def _carry_out(self, window_id: UUID) -> bool:
        """Take some steps of a window; tells whether it has more to do at once."""
        look = time.monotonic() - self._looked.get(window_id, -_LOOK_EVERY_S) >= _LOOK_EVERY_S
        counted = partial(self._agreements.calendar, self._kinds or {})
        done, steps = Step(more=True), 0
        while done.more and steps < _TURN and not self._rounds.ending:
            steps += 1
            async with transaction(self._engine) as session:
                done = await carrying_out.step(
                    session, window_id, counted, look=look, settled_after=self._settled_after
                )
            _log(window_id, done)
            self._rounds.get_on("maintenance")
        if look and not done.more:
            self._looked[window_id] = time.monotonic()
        return done.more


def _log(window_id: UUID, done: Step) -> None:
    happened = {"begun": done.began, "ended": done.ended, "announced": done.told, "shifted": done.shifted}
    for what, count in happened.items():
        if count:
            about = {"action": f"maintenance.{what}", "window": str(window_id), "count": int(count)}
            log.info("maintenance %s", what, extra=about)
