"""Removes what was kept long enough, in small steps and with long pauses between them. Part of the watchdog process.

Any number of them may run: each passes over what another is removing. A round that fails is logged and comes again.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import retention
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.retention import KeepError, Rule
from workers.pulse import Pulses
from workers.rounds import Rounds

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_EVERY_S = 3600.0
_SHARE = 0.1
"""At most this share of its time is spent removing; the rest of it the disk belongs to others."""


@dataclass(frozen=True)
class Swept:
    """What a round removed."""

    jobs: int = 0
    keys: int = 0
    held: int = 0
    messages: int = 0


class Sweeper:
    """Runs its rounds until told to stop."""

    def __init__(
        self,
        engine: AsyncEngine,
        rules: Callable[[], Sequence[Rule]],
        *,
        every_s: float = _EVERY_S,
        share: float = _SHARE,
        batch: int = retention.BATCH,
        pulses: Pulses | None = None,
    ) -> None:
        """Sweep a ledger by rules, asked for in a thread (kinds take long to load); a share of 1 makes no pauses."""
        self._engine = engine
        self._rules = rules
        self._every_s = every_s
        self._share = share
        self._batch = batch
        self._rounds = Rounds("sweep", "retention.failed", pulses)

    def stop(self) -> None:
        """End after the step that is under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Sweep, and again an hour later."""
        await self._rounds.every("sweep", self._every_s, self._sweep)

    async def _sweep(self) -> None:
        swept = await self.round()
        if swept.jobs or swept.keys or swept.messages:
            log.info("removed what was kept long enough", extra={"action": "retention.swept", **vars(swept)})

    async def round(self) -> Swept:
        """Remove everything that is due now, or as much of it as there is time for before a stop."""
        jobs = held = 0
        for rule in await asyncio.to_thread(self._rules):
            async for done in self._paced(retention.sweep(self._engine, rule, self._batch)):
                jobs, held = jobs + done.removed, held + done.held
        keys = sum([forgotten async for forgotten in self._paced(retention.sweep_keys(self._engine))])
        messages = sum([removed async for removed in self._paced(retention.sweep_messages(self._engine))])
        return Swept(jobs, keys, held, messages)

    async def _paced(self, steps: AsyncIterator[Result]) -> AsyncIterator[Result]:
        """After each step leave the time to others that is theirs; take no further one after a stop."""
        began = time.monotonic()
        async for done in steps:
            took = time.monotonic() - began
            self._rounds.get_on("sweep")
            yield done
            await self._rounds.pause(took * (1 / self._share - 1))
            if self._rounds.ending:
                return
            began = time.monotonic()


def settled(load: Callable[[], Kinds], setting: str) -> Sequence[Rule]:
    """Settle what is kept how long; a setting that does not hold removes nothing, and the process has other duties."""
    try:
        return retention.rules(load(), setting)
    except KeepError as error:
        log.error("INVOICING_KEEP: %s; nothing is removed", error, extra={"action": "retention.refused"})  # noqa: TRY400 - the message says all of it
        return ()
