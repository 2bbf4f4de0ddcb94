"""Lets jobs go that wait for a place in a quota: when its period begins anew, or a place was given back.

Part of the watchdog process. Any number of them may run: whoever has locked a quota lets go, the others pass it over.
"""

import logging
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.db import transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 1.0


class Usher:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S, pulses: Pulses | None = None) -> None:
        """Look after the quotas of a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._rounds = Rounds("look after quotas", "quotas.failed", pulses)

    def stop(self) -> None:
        """End after the round that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Let go what there is a place for, again and again."""
        await self._rounds.every("quotas", self._every_s, self.round)

    async def round(self) -> int:
        """Look at each quota for which anybody waits; gives how many jobs went."""
        async with self._engine.connect() as session:
            quotas = await ledger.with_room(session)
        gone = sum([await self._let_go(quota) for quota in quotas])
        if gone:
            log.info("let jobs go for which there is a place", extra={"action": "quotas.let_go", "count": gone})
        return gone

    async def _let_go(self, quota: UUID) -> int:
        """Let go, a few hundred in each transaction."""
        gone, more = 0, True
        while more and not self._rounds.ending:
            async with transaction(self._engine) as session:
                went = await ledger.let_go_of(session, quota)
            gone, more = gone + went, went == ledger.LET_GO_AT_ONCE
            self._rounds.get_on("quotas")
        return gone
