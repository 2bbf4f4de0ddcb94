"""The ends of attempts on their way into the ledger, many in one statement; kept until they are written."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, JobError, RetryPolicy, Settlement, State, Verdict
from invoicing.kit.db import driver, is_away, may_pass

log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 0.05
_MOST_BACKOFF_S = 2.0

_UNWRITABLE_AGAIN_IN = RetryPolicy().longest_delay
"""After which an attempt is made again that had to write something else, where its job may not die."""

_APART_AT_ONCE = 4
"""Groups that are written each by itself at a time, because a lock holds up one of them."""

_MOST_AT_ONCE = 512
"""So many ends are written in one statement, so that one commit does not hold up the first of them for long."""


@dataclass(frozen=True)
class Group:
    """Ends that came together, and whom to tell which of them were written."""

    ended: Sequence[Settlement]
    settled: "asyncio.Future[set[UUID]]"

    def tell(self, settled: set[UUID]) -> None:
        """Say which of many were written."""
        if not self.settled.done():
            self.settled.set_result({one.job_id for one in self.ended} & settled)


class Settler:
    """Writes settlements in batches: whatever waits when a commit returns goes into the next."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through an engine."""
        self._engine = engine
        self._waiting: list[Group] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._apart: set[asyncio.Task[None]] = set()
        self._few = asyncio.Semaphore(_APART_AT_ONCE)

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
        await asyncio.gather(*self._apart)

    async def _write_for_ever(self) -> None:
        while self._waiting or not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            groups, self._waiting = self._waiting, []
            if groups:
                await self._write_groups(groups)

    async def _write_groups(self, groups: list[Group]) -> None:
        for batch in _batches(groups):
            try:
                settled = await self._write([settlement for group in batch for settlement in group.ended])
            except Exception as error:
                if not may_pass(error):
                    raise
                log.warning("settling apart: %s", error, extra={"action": "settle.apart", "count": len(batch)})
                for group in batch:
                    task = asyncio.create_task(self._write_apart(group), name="settle-apart")
                    self._apart.add(task)
                    task.add_done_callback(self._apart.discard)
            else:
                for group in batch:
                    group.tell(settled)

    async def _write_apart(self, group: Group) -> None:
        """Write a group of which a lock of somebody else's may hold up an end, until it is written; others go on."""
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._few:
                    group.tell(await self._write(group.ended))
            except Exception as error:
                if not may_pass(error):
                    raise
            else:
                return
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MOST_BACKOFF_S)

    async def _write(self, ended: Sequence[Settlement]) -> set[UUID]:
        """Write some; one that cannot be written as it is must neither hold up the others nor be tried for ever."""
        try:
            return await self._write_when_there(ended)
        except Exception as error:
            if may_pass(error):
                raise
            if len(ended) > 1:
                half = len(ended) // 2
                return await self._write(ended[:half]) | await self._write(ended[half:])
            (settlement,) = ended
            log.exception(
                "an outcome cannot be written",
                extra={"action": "settle.refused", "job_id": str(settlement.job_id), "error": type(error).__name__},
            )
            return await self._write_when_there([_unwritable(settlement)])

    async def _write_when_there(self, settlements: Sequence[Settlement]) -> set[UUID]:
        """Write as soon as the database can be used; raises what a database says that is there: no, or not now."""
        backoff = _FIRST_BACKOFF_S
        while True:
            try:
                async with self._engine.connect() as session:
                    return await ledger.settle(await driver(session), settlements)
            except Exception as error:
                if may_pass(error) or _is_refusal(error):
                    raise
                log.warning(
                    "cannot settle yet: %s", error, extra={"action": "settle.delayed", "count": len(settlements)}
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MOST_BACKOFF_S)


def _batches(groups: Sequence[Group]) -> list[list[Group]]:
    """Put groups together, in order, as far as one statement takes them."""
    batches: list[list[Group]] = []
    count = _MOST_AT_ONCE
    for group in groups:
        count += len(group.ended)
        if count > _MOST_AT_ONCE:
            batches.append([])
            count = len(group.ended)
        batches[-1].append(group)
    return batches


def _is_refusal(error: Exception) -> bool:
    """Tell whether an error says that a database which is there refuses what it is to write, as it always would.

    Whatever else goes wrong on the way there may go well the next time: no outcome is given up for it.
    """
    refusals = (asyncpg.PostgresError, DBAPIError, ValueError, TypeError)
    return isinstance(error, refusals) and not is_away(error)


def _unwritable(settlement: Settlement) -> Settlement:
    """End a job whose outcome the database refuses, as text with a NUL: what cannot be kept was not delivered."""
    error = JobError("unwritable_outcome", "The work ended with a result that cannot be stored.")
    verdict = Verdict(State.DEAD, Event.DEAD, settlement.verdict.failures, _UNWRITABLE_AGAIN_IN, error)
    return Settlement(settlement.job_id, settlement.attempt, verdict)
