"""Tells the ledger of attempts that outlived their class."""

import asyncio
import logging

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Size
from invoicing.kit.db import transaction
from workers.attempts import Attempt
from workers.settling import UNREACHABLE

log = logging.getLogger(__name__)


class Reclassing:
    """Writes in the background: what counts for the worker's own slots counts at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through an engine."""
        self._engine = engine
        self._writing: set[asyncio.Task[None]] = set()

    def __call__(self, attempt: Attempt, size: Size) -> None:
        """Write that an attempt is of another class than it said."""
        task = asyncio.create_task(self._write(attempt, size), name="reclass")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, attempt: Attempt, size: Size) -> None:
        claim = attempt.claim
        about = {"job_id": str(claim.id), "size": size}
        try:
            async with transaction(self._engine) as session:
                await ledger.reclass(session, claim.id, claim.attempt, size)
        except UNREACHABLE as error:  # its end says so too
            log.warning("cannot write the class: %s", error, extra={"action": "reclass.failed", **about})
        else:
            log.info("re-classed", extra={"action": "job.reclassed", **about})
