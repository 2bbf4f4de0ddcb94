"""One attempt as its kind sees it, inside the child process: fenced steps, checkpoints, payload and result files."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import time_ns
from typing import Any
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import StopRequested
from invoicing.jobs.model import Claim, Progress
from invoicing.kit.db import Session, is_away, may_pass, transaction
from workers.stillness import Stillness

LEDGER_AWAY = "ledger_away"

Kept = Callable[[tuple[UUID, int], int, int, int], None]
"""Is told of an attempt's checkpoint: the attempt, the so-many-th, when it began and ended (nanoseconds)."""


class FencedPerformance:
    """What `perform` is given; implements `invoicing.jobs.kinds.Performance` on the ledger."""

    def __init__(
        self,
        engine: AsyncEngine,
        claim: Claim,
        settings: Mapping[str, str],
        stillness: Stillness,
        kept: Kept | None = None,
    ) -> None:
        """Stand for one attempt, which begins where the last one stopped; `kept` is told of its checkpoints."""
        self.job_id = claim.id
        self.customer_id = claim.customer_id
        self.reference = claim.reference
        self.attempt = claim.attempt
        self.failures = claim.failures
        self.saved = claim.saved
        self.settings = settings
        self._engine = engine
        self._body = claim.body
        self._split = claim.split
        self._stillness = stillness
        self._kept = kept
        self._checkpoints = 0
        self._stop: str | None = None

    def stop(self, why: str | None) -> None:
        """Have the attempt stop at its next checkpoint, or go on after all; called from another thread."""
        self._stop = why

    @asynccontextmanager
    async def step(
        self, progress: Progress | None = None, saved: Mapping[str, Any] | None = None, *, irrevocable: bool = False
    ) -> AsyncIterator[Session]:
        """Open a fenced transaction that commits the block's writes with progress and what to keep."""
        in_block, began_ns = False, time_ns()
        try:
            with self._stillness.open():
                async with transaction(self._engine) as session:
                    await self._fence(session)
                    in_block = True
                    yield session
                    in_block = False
                    if irrevocable:
                        await ledger.make_irrevocable(session, self.job_id)
                    if saved is not None:
                        await ledger.write_checkpoint(session, self.job_id, self.attempt, saved)
                    if progress is not None:
                        await ledger.write_progress(session, self.job_id, self.attempt, progress)
        except Exception as error:
            if _not_its_fault(error) and (isinstance(error, DBAPIError) or not in_block):  # not a file that it misses
                raise StopRequested(LEDGER_AWAY) from error
            raise
        if saved is not None or progress is not None:
            self._tell_kept(began_ns)
            if self._stop is not None:
                raise StopRequested(self._stop)

    def _tell_kept(self, began_ns: int) -> None:
        if self._kept is not None:
            self._checkpoints += 1
            self._kept((self.job_id, self.attempt), self._checkpoints, began_ns, time_ns())

    async def _fence(self, session: Session) -> None:
        cancel_requested = await ledger.fence(session, self.job_id, self.attempt)
        if cancel_requested is None:
            raise StopRequested("lost")
        if cancel_requested:
            raise StopRequested("cancel")

    async def checkpoint(self, done: float, total: float, unit: str, saved: Mapping[str, Any] | None = None) -> None:
        """Commit how far the work is and what a later attempt needs."""
        async with self.step(Progress(done, total, unit), saved):
            pass

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Session]:
        with _interrupted_while_away(), self._stillness.open():
            async with self._engine.connect() as session:
                yield session

    async def body(self) -> bytes:
        """Read the request as the customer sent it."""
        return await self.part(0) if self._body is None else self._body

    async def parts(self) -> Sequence[tuple[int, int]]:
        """List the parts of a streamed payload: (part number from 1, number of items)."""
        if not self._split:
            return ()
        async with self._reading() as session:
            return await ledger.parts_of(session, self.job_id)

    async def part(self, number: int) -> bytes:
        """Read one part of the payload."""
        async with self._reading() as session:
            body = await ledger.part(session, self.job_id, number)
        if body is None:
            raise LookupError(f"job {self.job_id} has no payload part {number}")
        return body

    async def write_part(self, session: Session, name: str, media_type: str, seq: int, body: bytes) -> None:
        """Write a part of a result file inside a step."""
        await ledger.write_artifact_part(session, self.job_id, name, media_type, seq, body)

    async def complete(self, session: Session, name: str, sha256: str) -> None:
        """Declare a result file finished inside a step."""
        await ledger.complete_artifact(session, self.job_id, name, sha256)

    async def content(self, name: str) -> AsyncIterator[bytes]:
        """Read the parts of a result file in order."""
        async with self._reading() as session:
            async for body in ledger.artifact_content(session, self.job_id, name):
                yield body


@contextmanager
def _interrupted_while_away() -> Iterator[None]:
    """Stop the attempt, uncounted, when the ledger cannot be reached: that is no failure of the job's."""
    try:
        yield
    except Exception as error:
        if _not_its_fault(error):
            raise StopRequested(LEDGER_AWAY) from error
        raise


def _not_its_fault(error: Exception) -> bool:
    return is_away(error) or may_pass(error)
