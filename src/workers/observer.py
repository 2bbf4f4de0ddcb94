"""Keeps the wait ledger: notes what holds whole lanes when it changes, and adds up the time of jobs that have ended.

Part of the watchdog process.

Any number of them may run: one looks at a time. A round that fails is logged and comes again.
"""

import asyncio
import logging
import time
from collections import Counter

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import booking, foreseeing, observing
from invoicing.diagnosis.observing import Held
from invoicing.jobs import service as ledger
from invoicing.kit.db import transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_BOOK_EVERY_S = 5.0
_FORGET_EVERY_S = 3600.0

_SHARE = 0.1
"""At most this share of its time is spent adding up; in a rush the sums come later."""

_BOOK_PATIENCE_S = 60.0
"""What counts as its period when it is judged whether it gets on: after a slow step its pause is nine times as long."""

_STALE = 5.0
"""After so many rounds without a look of its own, others have looked: what was seen here last says nothing."""


class Observer:
    """Runs its rounds until told to stop."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S, pulses: Pulses | None = None) -> None:
        """Observe the lanes of a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._held: Held = {}
        self._looked_at = 0.0
        self._rounds = Rounds("keep the wait ledger", "waits.failed", pulses)

    def stop(self) -> None:
        """End after the rounds that are under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Look, add up and forget, each at its own pace."""
        await asyncio.gather(
            self._rounds.every("look", self._every_s, self.look),
            self._rounds.every("book", _BOOK_EVERY_S, self.book, patience_s=_BOOK_PATIENCE_S),
            self._rounds.every("forget_conditions", _FORGET_EVERY_S, self.forget),
        )

    def open(self) -> Counter[str] | None:
        """Count the conditions that hold by cause; None where another looks, and knows better."""
        held, looked_at = self._held, self._looked_at
        if time.monotonic() - looked_at >= _STALE * self._every_s:
            return None
        return Counter(str(cause) for _, cause in list(held))

    async def look(self) -> None:
        """Look at the lanes once."""
        began = time.monotonic()
        known = self._held if began - self._looked_at < _STALE * self._every_s else {}
        async with transaction(self._engine) as session:
            held = await observing.observe(session, known)
        if held is not None:
            self._held, self._looked_at = held, began

    async def book(self) -> None:
        """Add up the time of all jobs that have ended, with pauses between."""
        booked = booking.AT_ONCE
        while booked == booking.AT_ONCE and not self._rounds.ending:
            began = time.monotonic()
            async with transaction(self._engine) as session:
                booked = await booking.book(session)
            self._rounds.get_on("book")
            await self._rounds.pause((time.monotonic() - began) * (1 / _SHARE - 1))

    async def forget(self) -> None:
        """Remove what concerns no job any more, a little at a time."""
        forgotten = 1
        while forgotten and not self._rounds.ending:
            async with transaction(self._engine) as session:
                forgotten = await observing.forget(session)
        async with transaction(self._engine) as session:
            await booking.forget(session)
            await foreseeing.forget(session)
            await ledger.forget_outages(session)
