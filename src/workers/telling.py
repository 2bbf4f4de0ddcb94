"""Tells the ledger of attempts that outlived their class, or hold no slot for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Size
from invoicing.kit.db import Session, transaction
from workers.attempts import Attempt
from workers.rounds import UNREACHABLE

log = logging.getLogger(__name__)


class Telling:
    """Writes in the background: what counts for the worker's own slots counts at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through an engine."""
        self._engine = engine
        self._in_order = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()

    def reclassed(self, attempt: Attempt, size: Size) -> None:
        """Write that an attempt is of another class than it said."""
        self._start(attempt, lambda session: ledger.reclass(session, *attempt.key, size))

    def set_aside(self, attempt: Attempt, *, aside: bool) -> None:
        """Write that an attempt holds no slot from now on, or holds one again."""
        self._start(attempt, lambda session: ledger.set_aside(session, *attempt.key, aside=aside))

    def _start(self, attempt: Attempt, write: Callable[[Session], Awaitable[bool]]) -> None:
        task = asyncio.create_task(self._write(attempt, write), name="tell")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, attempt: Attempt, write: Callable[[Session], Awaitable[bool]]) -> None:
        try:
            async with self._in_order, transaction(self._engine) as session:
                await write(session)
        except UNREACHABLE as error:  # its end says so too
            about = {"job_id": str(attempt.claim.id)}
            log.warning("cannot tell the ledger: %s", error, extra={"action": "tell.failed", **about})
