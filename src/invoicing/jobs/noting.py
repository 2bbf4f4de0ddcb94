"""What customers were told by this process about when there will be news, noted while they read and kept soon after.

Reading a job writes nothing: times are held here for a moment and then kept in one statement for all of them.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.store.updates import owe
from invoicing.kit.clock import now
from invoicing.kit.db import is_away, transaction

log = logging.getLogger(__name__)

KEEP_EVERY_S = 2.0
"""Also what may be lost with a process that is killed. Most jobs that are read while they run have changed by then."""

_MOST_REMEMBERED = 50_000


class Notebook:
    """Holds by when there will be news, by job and the revision that was shown; of several times the first."""

    def __init__(self) -> None:
        """Start with nothing told."""
        self._told: dict[tuple[UUID, int], datetime] = {}
        self._kept: dict[tuple[UUID, int], datetime] = {}
        """What is in the ledger already: whoever asks every second is told the same time for long."""

    def note(self, job_id: UUID, revision: int, by: datetime) -> None:
        """Note what somebody is told this moment."""
        told = job_id, revision
        for known in (self._told, self._kept):
            if told in known and known[told] <= by:
                return
        self._told[told] = by

    async def keep(self, engine: AsyncEngine) -> None:
        """Write what was told since the last time; what cannot be written is kept for the next."""
        told, self._told = self._told, {}
        if not told:
            return
        try:
            async with transaction(engine) as session:
                await owe(session, told)
        except BaseException:
            self._told = {**told, **self._told}
            raise
        self._remember(told)

    def _remember(self, told: dict[tuple[UUID, int], datetime]) -> None:
        moment = now()
        kept = {one: by for one, by in self._kept.items() if by > moment}
        self._kept = told if len(kept) > _MOST_REMEMBERED else kept | told


@asynccontextmanager
async def kept(notebook: Notebook, engine: AsyncEngine) -> AsyncIterator[None]:
    """Keep what is noted while the block runs, and what is left at its end."""
    task = asyncio.create_task(_keep_for_ever(notebook, engine), name="news")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await _keep(notebook, engine)


async def _keep_for_ever(notebook: Notebook, engine: AsyncEngine) -> None:
    while True:
        await asyncio.sleep(KEEP_EVERY_S)
        await _keep(notebook, engine)


async def _keep(notebook: Notebook, engine: AsyncEngine) -> None:
    try:
        await notebook.keep(engine)
    except Exception as error:
        if is_away(error):
            log.warning("cannot keep what was told: %s", error, extra={"action": "updates.not_kept"})
        else:
            log.exception("cannot keep what was told", extra={"action": "updates.not_kept"})
