"""Lets jobs go that are held: a quota begins anew or has a place again, or the time of their pause is over.

Part of the watchdog process. Any number of them may run: whoever has locked a quota lets go, the others pass it over.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session, transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class Usher:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S, pulses: Pulses | None = None) -> None:
        """Look after the quotas and pauses of a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._rounds = Rounds("look after quotas and pauses", "quotas.failed", pulses)

    def stop(self) -> None:
        """End after the round that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Let go what there is a place for, or whose time has come, again and again."""
        await self._rounds.every("quotas", self._every_s, self.round)

    async def round(self) -> int:
        """Look at each quota for which anybody waits, and at the pauses that are over; gives how many jobs went."""
        async with self._engine.connect() as session:
            found = await ledger.to_let_go(session)
        gone = sum([await self._let_go(partial(ledger.let_go_of, quota_id=quota)) for quota in found.quotas])
        if gone:
            log.info("let jobs go for which there is a place", extra={"action": "quotas.let_go", "count": gone})
        return gone + (await self._let_go_on() if found.pauses else 0)

    async def _let_go_on(self) -> int:
        resumed = await self._let_go(ledger.let_go_after_pauses)
        if resumed:
            log.info("let jobs go on whose pause is over", extra={"action": "pauses.over", "count": resumed})
        return resumed

    async def _let_go(self, step: Callable[[Session], Awaitable[int]]) -> int:
        """Let go, a few hundred in each transaction."""
        gone, more = 0, True
        while more and not self._rounds.ending:
            async with transaction(self._engine) as session:
                went = await step(session)
            gone, more = gone + went, went == ledger.LET_GO_AT_ONCE
            self._rounds.get_on("quotas")
        return gone
