"""The ends of attempts on their way into the ledger, many in one statement; kept until they are written."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, JobError, Settlement, State, Verdict
from invoicing.kit.db import driver, is_away

log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 0.05
_MOST_BACKOFF_S = 2.0

UNREACHABLE = (OSError, TimeoutError, PoolTimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError)
"""What a round of a loop may meet when the database is away, or is coming back; the loop goes on."""

_MOST_AT_ONCE = 512
"""So many ends are written in one statement, so that one commit does not hold up the first of them for long."""


@dataclass(frozen=True)
class Group:
    """Ends that came together, and whom to tell which of them were written."""

    ended: Sequence[Settlement]
    settled: "asyncio.Future[set[UUID]]"


class Settler:
    """Writes settlements in batches: whatever waits when a commit returns goes into the next."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through an engine."""
        self._engine = engine
        self._waiting: list[Group] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._write_for_ever(), name="settle")

    async def settle(self, ended: Sequence[Settlement]) -> set[UUID]:
        """Write the ends of attempts; gives the jobs whose attempt was still the current one: others are unchanged."""
        loop = asyncio.get_running_loop()
        group = Group(ended, loop.create_future())
        self._waiting.append(group)
        self._wake.set()
        return await group.settled

    async def stop(self) -> None:
        """Write what waits, then end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    async def _write_for_ever(self) -> None:
        while self._waiting or not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            groups, self._waiting = self._waiting, []
            if groups:
                await self._write_groups(groups)

    async def _write_groups(self, groups: list[Group]) -> None:
        ended = [settlement for group in groups for settlement in group.ended]
        settled: set[UUID] = set()
        for first in range(0, len(ended), _MOST_AT_ONCE):
            settled |= await self._write(ended[first : first + _MOST_AT_ONCE])
        for group in groups:
            if not group.settled.done():
                group.settled.set_result({one.job_id for one in group.ended} & settled)

    async def _write(self, ended: list[Settlement]) -> set[UUID]:
        """Write some; one that cannot be written as it is must neither hold up the others nor be tried for ever."""
        try:
            return await self._write_when_there(ended)
        except Exception as error:
            if len(ended) > 1:
                half = len(ended) // 2
                return await self._write(ended[:half]) | await self._write(ended[half:])
            (settlement,) = ended
            log.exception(
                "an outcome cannot be written",
                extra={"action": "settle.refused", "job_id": str(settlement.job_id), "error": type(error).__name__},
            )
            return await self._write_when_there([_unwritable(settlement)])

    async def _write_when_there(self, settlements: list[Settlement]) -> set[UUID]:
        """Write as soon as the database can be used; raises what a database says that is there and refuses them."""
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._engine.connect() as session:
                    return await ledger.settle(await driver(session), settlements)
            except Exception as error:
                if _is_refusal(error):
                    raise
                log.warning(
                    "cannot settle yet: %s", error, extra={"action": "settle.delayed", "count": len(settlements)}
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MOST_BACKOFF_S)


def _is_refusal(error: Exception) -> bool:
    """Tell whether an error says that a database which is there refuses what it is to write, as it always would.

    Whatever else goes wrong on the way there may go well the next time: no outcome is given up for it.
    """
    refusals = (asyncpg.PostgresError, DBAPIError, ValueError, TypeError)
    return (
        isinstance(error, refusals) and not is_away(error) and not isinstance(error, asyncpg.TransactionRollbackError)
    )


def _unwritable(settlement: Settlement) -> Settlement:
    """End a job whose outcome the database refuses, as text with a NUL: what cannot be kept was not delivered."""
    error = JobError("unwritable_outcome", "The work ended with a result that cannot be stored.")
    verdict = Verdict(State.DEAD, Event.DEAD, settlement.verdict.failures, error=error)
    return Settlement(settlement.job_id, settlement.attempt, verdict)
