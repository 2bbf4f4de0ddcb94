"""Finds incidents and keeps them: opened when a cause is proven, over when it is gone. Part of the watchdog process.

Any number of them may run: one looks at a time. A round that fails is logged and comes again.
"""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.incidents import calling, keeping
from invoicing.incidents.keeping import Tell, nobody
from invoicing.kit.db import is_away, transaction
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_FORGET_EVERY_S = 3600.0

THOROUGH_EVERY = 3
"""Every so many rounds it is also looked for what is not worth asking every second."""

_SETTLES_S = 3.0
"""So long it waits first: after a start the observer looks at the lanes, and workers come back."""


class Detector:
    """Runs its rounds until told to stop."""

    def __init__(
        self,
        engine: AsyncEngine,
        tell: Tell = nobody,
        *,
        every_s: float = _EVERY_S,
        settles_s: float = _SETTLES_S,
        calls: bool = False,
        mails: bool = False,
        pulses: Pulses | None = None,
    ) -> None:
        """Look after the incidents of a ledger, and tell of their changes in the transactions that write them.

        `calls`: call those on duty, too; `mails`: the service can send mails.
        """
        self._engine = engine
        self._tell = tell
        self._every_s = every_s
        self._settles_s = settles_s
        self._calls = calls
        self._mails = mails
        self._looks = 0
        self._rounds = Rounds("look for incidents", "incidents.failed", pulses)

    def stop(self) -> None:
        """End after the round that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Look and forget, each at its own pace."""
        await self._rounds.pause(self._settles_s)
        loops = [
            self._rounds.every("incidents", self._every_s, self.look),
            self._rounds.every("forget_incidents", _FORGET_EVERY_S, self.forget),
        ]
        if self._calls:
            loops.append(self._rounds.every("call", self._every_s, self.call))
        await asyncio.gather(*loops)

    async def look(self) -> None:
        """Look once."""
        thorough = self._looks % THOROUGH_EVERY == 0
        self._looks += 1
        async with transaction(self._engine) as session:
            await keeping.keep(session, thorough=thorough, tell=self._tell)

    async def call(self) -> None:
        """Do what is due to ops about each incident; one that cannot be dealt with does not keep the others."""
        async with self._engine.connect() as session:
            found = await calling.waiting(session)
        for incident_id in found:
            try:
                async with transaction(self._engine) as session:
                    await calling.attend(session, incident_id, mails=self._mails)
            except Exception as error:
                if is_away(error):
                    raise
                extra = {"action": "incidents.call_failed", "incident_id": str(incident_id)}
                log.exception("cannot call anybody about an incident", extra=extra)

    async def forget(self) -> None:
        """Remove incidents of long ago, a little at a time."""
        forgotten = 1
        while forgotten and not self._rounds.ending:
            async with transaction(self._engine) as session:
                forgotten = await keeping.forget(session)
