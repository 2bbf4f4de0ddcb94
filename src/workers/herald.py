"""Tells customers of incidents that touch them. Part of the watchdog process.

Any number of them may run: one tells at a time, one step in each transaction.
"""

import logging
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.incidents import noticing
from invoicing.incidents.noticing import Step
from invoicing.kit.db import is_away, transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 2.0


class Herald:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(self, engine: AsyncEngine, *, every_s: float = _EVERY_S, pulses: Pulses | None = None) -> None:
        """Tell the customers of a ledger."""
        self._engine = engine
        self._every_s = every_s
        self._rounds = Rounds("tell customers of incidents", "notices.failed", pulses)

    def stop(self) -> None:
        """End after the step that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Look again and again whether somebody is to be told anything."""
        await self._rounds.every("notices", self._every_s, self.round)

    async def round(self) -> None:
        """Tell what is due of each incident; one that cannot be told of does not keep the others."""
        async with self._engine.connect() as session:
            found = await noticing.due(session)
        for incident_id in found:
            try:
                await self._tell(incident_id)
            except Exception as error:
                if is_away(error):
                    raise
                about = {"action": "notices.failed", "incident_id": str(incident_id)}
                log.exception("cannot tell customers of an incident", extra=about)

    async def _tell(self, incident_id: UUID) -> None:
        done = Step(more=True)
        while done.more and not self._rounds.ending:
            async with transaction(self._engine) as session:
                done = await noticing.step(session, incident_id)
            _log(incident_id, done)
            self._rounds.get_on("notices")


def _log(incident_id: UUID, done: Step) -> None:
    for what, count in (("opened", done.opened), ("updated", done.updated), ("resolved", done.resolved)):
        if count:
            about = {"action": f"notices.{what}", "incident_id": str(incident_id), "count": count}
            log.info("customers were told of an incident", extra=about)
