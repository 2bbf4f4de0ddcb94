"""Group commit: requests that arrive together share one statement and one commit, and each waits for it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.model import Accepted, NewJob
from invoicing.jobs.store import accept
from invoicing.jobs.store.accept_held import insert_held
from invoicing.kit.db import driver, is_away, may_pass
from invoicing.kit.problems import Problem

MOST_TOGETHER = 256
"""Rows per statement: measured, larger groups no longer raise the rate but do raise the wait of the first in them."""

_ALONE_AT_ONCE = 4
"""Requests of a group that are written one by one: so many connections that takes."""

_MOST_LARGE = 2
"""Large requests written at once: each holds one of its parts in memory."""


class Admission(Protocol):
    """Decides which jobs are taken in; the lanes' rule, handed in from above. It looks nothing up."""

    def admit(self, job: NewJob) -> Problem | None:
        """Count a job among those that wait, or say why it is not taken in now."""

    def settle(self, job: NewJob, *, made: bool) -> None:
        """Learn what became of a job that was taken in: made, or there before, or it could not be stored."""

    def full(self, customer_id: UUID) -> Problem | None:
        """Say why nothing of a customer is taken in now, whatever it is."""


class Everyone:
    """Takes every job in."""

    def admit(self, job: NewJob) -> Problem | None:
        """Take it in."""

    def settle(self, job: NewJob, *, made: bool) -> None:
        """Nothing was counted."""

    def full(self, customer_id: UUID) -> Problem | None:
        """Nobody ever has too many."""


@dataclass
class _Waiting:
    job: NewJob
    answer: "asyncio.Future[Accepted]"
    refusal: Problem | None
    """Why it is not taken in, unless it was accepted before."""


@dataclass
class _Line:
    """Requests in the order in which they came, and what wakes those who write them."""

    waiting: list[_Waiting] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def join(self, waiting: _Waiting) -> None:
        """Wait behind those who came before."""
        self.waiting.append(waiting)
        self.wake.set()

    def first(self) -> Sequence[_Waiting]:
        """Take the first as many as one statement writes."""
        group, self.waiting = self.waiting[:MOST_TOGETHER], self.waiting[MOST_TOGETHER:]
        return group


class Acceptor:
    """Accepts requests: whoever waits when a commit returns goes into the next one, so an idle service adds no wait."""

    def __init__(self, engine: AsyncEngine, admission: Admission | None = None, flushers: int = 2) -> None:
        """Write through an engine, with a few commits under way at once."""
        self._engine = engine
        self._admission = admission or Everyone()
        self._free, self._held = _Line(), _Line()
        """What nothing can hold, and the rest: nobody else waits for the counting of their quotas."""
        self._flushers = flushers
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._large = asyncio.Semaphore(_MOST_LARGE)

    async def start(self) -> None:
        """Begin to accept."""
        lines = [self._free, self._held] * self._flushers
        self._tasks = [asyncio.create_task(self._flush_for_ever(line), name="accept") for line in lines]

    async def stop(self) -> None:
        """Write what waits and what is being written, then end: whoever asked gets an answer."""
        self._stopping = True
        for line in (self._free, self._held):
            line.wake.set()
        await asyncio.gather(*self._tasks)

    async def accept(self, job: NewJob) -> Accepted:
        """Make a request durable; returns after the commit.

        Raises `Problem`: `idempotency_key_reused` when the key was used for another body, `unavailable` when the
        ledger did not answer (nothing is half accepted, and the same request may be sent again), and what admission
        says of a job that it does not take in, unless this very request was accepted before.
        """
        waiting = _Waiting(job, asyncio.get_running_loop().create_future(), self._admission.admit(job))
        (self._free if job.terms.free else self._held).join(waiting)
        return await waiting.answer

    async def accept_large(self, job: NewJob, parts: Iterable[tuple[int, bytes]] = ()) -> Accepted:
        """Make a large request durable, in a transaction of its own; `parts` are (number of items, bytes), from 1.

        The parts are written before the job and its idempotency key, so that nobody ever waits for more than the last
        statement of it. Raises what `accept` raises.
        """
        refusal = self._admission.admit(job)
        if refusal is not None:
            earlier = await self.earlier(job.customer_id, job.idempotency_key, job.body_hash)
            if earlier is None:
                raise refusal
            return earlier
        answer: Accepted | Exception | None = None
        try:
            async with self._large, self._engine.connect() as session:
                await accept.parts_may_come_first(session)
                connection = await driver(session)
                for number, part in enumerate(parts, 1):
                    await accept.insert_parts(connection, job.id, number, [part])
                (answer,) = await write(connection, [job])
                if isinstance(answer, Accepted) and not answer.replayed:
                    await session.commit()
        except Exception as error:
            answer = None
            raise _refusal(error) from error
        finally:
            self._settle(job, answer)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def refuse_when_full(self, customer_id: UUID) -> None:
        """Raise what admission says of a customer of whom it takes nothing in: checking a request would be in vain."""
        refusal = self._admission.full(customer_id)
        if refusal is not None:
            raise refusal

    async def earlier(self, customer_id: UUID, key: str, body_hash: bytes) -> Accepted | None:
        """Look up whether this very request was accepted before."""
        async with self._engine.connect() as session:
            found = await accept.earlier_uses(await driver(session), [(customer_id, key)])
        use = found.get((customer_id, key))
        return Accepted(use.job_id, replayed=True) if use is not None and use.body_hash == body_hash else None

    async def _flush_for_ever(self, line: _Line) -> None:
        while line.waiting or not self._stopping:
            await line.wake.wait()
            group = line.first()
            if not line.waiting and not self._stopping:
                line.wake.clear()
            if group:
                await self._flush(group)

    async def _flush(self, group: Sequence[_Waiting]) -> None:
        answers: Sequence[Accepted | Exception]
        try:
            async with self._engine.connect() as session:
                answers = await _answers(await driver(session), group)
        except Exception as error:  # noqa: BLE001 - each caller gets its own refusal; the loop must go on
            if len(group) > 1 and not is_away(error):  # one of them cannot be written; the others must not suffer
                await self._flush_alone(group)
                return
            answers = [_refusal(error)] * len(group)
        for waiting, answer in zip(group, answers, strict=True):
            if waiting.refusal is None:
                self._settle(waiting.job, answer)
            if waiting.answer.done():
                continue
            if isinstance(answer, Exception):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)

    async def _flush_alone(self, group: Sequence[_Waiting]) -> None:
        """Write each by itself, a few at once: one that waits for a lock must not hold up those behind it."""
        few = asyncio.Semaphore(_ALONE_AT_ONCE)

        async def flush(waiting: _Waiting) -> None:
            async with few:
                await self._flush([waiting])

        await asyncio.gather(*map(flush, group))

    def _settle(self, job: NewJob, answer: Accepted | Exception | None) -> None:
        self._admission.settle(job, made=isinstance(answer, Accepted) and not answer.replayed)


async def _answers(connection: "asyncpg.Connection[Any]", group: Sequence[_Waiting]) -> Sequence[Accepted | Exception]:
    """Write what was taken in; of the rest, find what was accepted before."""
    admitted = [waiting.job for waiting in group if waiting.refusal is None]
    written = iter(await write(connection, admitted) if admitted else ())
    if len(admitted) == len(group):
        return list(written)
    refused = [(one.job.customer_id, one.job.idempotency_key) for one in group if one.refusal is not None]
    earlier = await accept.earlier_uses(connection, refused)
    return [next(written) if one.refusal is None else _replay_or(one.refusal, one.job, earlier) for one in group]


def _replay_or(
    refusal: Problem, job: NewJob, earlier: Mapping[tuple[UUID, str], accept.Earlier]
) -> Accepted | Exception:
    use = earlier.get((job.customer_id, job.idempotency_key))
    return refusal if use is None else _replay(job, use)


def _refusal(error: Exception) -> Exception:
    if isinstance(error, asyncpg.LockNotAvailableError):
        return Problem(
            "in_flight",
            "A request with this Idempotency-Key is still being written.",
            remedy="Send the same request again in a few seconds.",
            headers={"Retry-After": "2"},
        )
    if is_away(error) or may_pass(error):
        return Problem(
            "unavailable",
            "The ledger cannot be reached at the moment; whether the request was stored is not known.",
            remedy="Send the same request with the same Idempotency-Key again: it makes no second job.",
            headers={"Retry-After": "5"},
        )
    return error


async def write(connection: "asyncpg.Connection[Any]", jobs: Sequence[NewJob]) -> list[Accepted | Exception]:
    """Insert jobs and say of each what became of it: inserted, already there, or refused."""
    if not all(job.terms.free for job in jobs):
        return await _write_held(connection, jobs)
    made = await accept.insert_jobs(connection, jobs)
    missed = [(job.customer_id, job.idempotency_key) for job in jobs if job.id not in made]
    earlier = await accept.earlier_uses(connection, missed) if missed else {}
    return [
        Accepted(job.id, replayed=False, submitted_at=made[job.id])
        if job.id in made
        else _replay(job, earlier.get((job.customer_id, job.idempotency_key)))
        for job in jobs
    ]


async def _write_held(connection: "asyncpg.Connection[Any]", jobs: Sequence[NewJob]) -> list[Accepted | Exception]:
    async with connection.transaction():
        made = await insert_held(connection, jobs)
        missed = [(job.customer_id, job.idempotency_key) for job in jobs if job.id not in made]
        earlier = await accept.earlier_uses(connection, missed) if missed else {}
    return [
        Accepted(job.id, replayed=False, submitted_at=made[job.id].submitted_at, held=made[job.id].held)
        if job.id in made
        else _replay(job, earlier.get((job.customer_id, job.idempotency_key)))
        for job in jobs
    ]


def _replay(job: NewJob, earlier: accept.Earlier | None) -> Accepted | Exception:
    if earlier is None:
        return Problem(
            "in_flight",
            "A request with this Idempotency-Key has only just been removed.",
            remedy="Send the same request again.",
            headers={"Retry-After": "1"},
        )
    if earlier.body_hash != job.body_hash:
        return Problem(
            "idempotency_key_reused",
            f"This Idempotency-Key was used for another request, which made job {earlier.job_id}.",
            field="/headers/Idempotency-Key",
            remedy="Use a new key for a new request, or send the first request unchanged.",
        )
    return Accepted(earlier.job_id, replayed=True)
