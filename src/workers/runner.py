"""One attempt: find its kind, perform it in a child, watch its class, judge the outcome, settle."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model import (
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    RetryPolicy,
    Settlement,
    Size,
    jitter,
    judge,
)
from invoicing.kit.db import transaction
from invoicing.lanes.model import POLICY
from workers.nursery import NICE, Nursery
from workers.sandbox import ChildProcess
from workers.settling import UNREACHABLE, Settler

log = logging.getLogger(__name__)

OVERRUN = 1.5
"""A job may take this many times its class's limit before it is re-classed: noise must not move jobs about."""

STOPPED = JobError("stopped", "The attempt did not stop in its grace time and was killed.")


@dataclass
class Attempt:
    """An attempt that this worker is running."""

    claim: Claim
    size: Size
    child: ChildProcess | None = None
    stopping: str | None = None
    lost: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is told to stop or given up."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def key(self) -> tuple[UUID, int]:
        """The job and the number of the attempt."""
        return self.claim.id, self.claim.attempt


class Runner:
    """Runs attempts; every kind passes here."""

    def __init__(
        self, engine: AsyncEngine, kinds: Kinds, nursery: Nursery, settler: Settler, changed: Callable[[], None]
    ) -> None:
        """Work with a ledger and children; `changed` is called when a slot became free or a job changed its class."""
        self._engine = engine
        self._kinds = kinds
        self._nursery = nursery
        self._settler = settler
        self._changed = changed
        self.attempts: dict[tuple[UUID, int], Attempt] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def running(self) -> dict[Size, int]:
        """Count the running attempts by the class they now belong to."""
        counts: dict[Size, int] = {}
        for attempt in self.attempts.values():
            counts[attempt.size] = counts.get(attempt.size, 0) + 1
        return counts

    def begin(self, claim: Claim) -> Attempt:
        """Count a claimed job as running, from now on."""
        attempt = Attempt(claim, claim.size)
        self.attempts[attempt.key] = attempt
        return attempt

    async def run(self, attempt: Attempt) -> None:
        """Carry an attempt that has begun to its settlement."""
        kind = self._kinds.get(attempt.claim.kind)
        try:
            outcome = await self._outcome(attempt, kind)
            if not attempt.lost:
                await self._settle(attempt, outcome, kind.retry if kind else RetryPolicy())
        finally:
            del self.attempts[attempt.key]
            self._changed()

    def stop(self, attempt: Attempt, why: str, kill_after_s: float | None) -> None:
        """Ask an attempt to stop at its next checkpoint, and kill its child after the grace time."""
        if attempt.stopping in {why, "cancel"}:
            return
        attempt.stopping = why
        attempt.told.set()
        if attempt.child is not None:
            attempt.child.stop(why)
        if kill_after_s is not None:
            attempt.timers.append(asyncio.get_running_loop().call_later(kill_after_s, self._kill, attempt))

    def lose(self, attempt: Attempt) -> None:
        """Give up an attempt whose lease is gone: another may have it, so nothing of it is settled."""
        attempt.lost = True
        attempt.told.set()
        self._kill(attempt)

    def grace_of(self, attempt: Attempt) -> float:
        """How long an attempt may take to reach a checkpoint after it was told to stop (seconds)."""
        kind = self._kinds.get(attempt.claim.kind)
        return 5.0 if kind is None else kind.grace.total_seconds()

    async def _outcome(self, attempt: Attempt, kind: JobKind | None) -> Outcome:
        """Perform; whatever goes wrong on our side is a failure of the attempt, never an attempt without an end."""
        try:
            return await self._perform(attempt, kind)
        except Exception:
            log.exception(
                "an attempt broke off", extra={"action": "attempt.broke_off", "job_id": str(attempt.claim.id)}
            )
            return Failed(JobError("internal", "The work could not be supervised to its end."))

    async def _perform(self, attempt: Attempt, kind: JobKind | None) -> Outcome:
        claim = attempt.claim
        if kind is None:
            return Failed(JobError("unknown_kind", f"No build of ours that runs knows the kind {claim.kind}."))
        child = await self._child_for(attempt)
        if child is None:
            return _stopped(attempt)
        attempt.child = child
        self._watch_class(attempt, 0.0)
        try:
            outcome = await child.perform(claim, memory_mb=kind.memory_mb, timeout_s=kind.timeout.total_seconds())
        finally:
            for timer in attempt.timers:
                timer.cancel()
            attempt.child = None
            await self._nursery.give_back(child)
        return _meant(attempt, outcome)

    async def _child_for(self, attempt: Attempt) -> ChildProcess | None:
        """Wait for a child; None when the attempt was told to stop before it had one."""
        taking = asyncio.create_task(self._nursery.take(attempt.claim.size))
        told = asyncio.create_task(attempt.told.wait())
        await asyncio.wait({taking, told}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (taking, told):
            waiting.cancel()
        await asyncio.wait({taking, told})
        child = None if taking.cancelled() else taking.result()
        if child is not None and attempt.told.is_set():
            await self._nursery.give_back(child)
            return None
        return child

    def _watch_class(self, attempt: Attempt, elapsed_s: float) -> None:
        """Set the timer that re-classes the attempt when it outlives its class."""
        limit = POLICY.cutoffs.limit(attempt.size)
        if limit is not None:
            left = limit * OVERRUN - elapsed_s
            loop = asyncio.get_running_loop()
            attempt.timers.append(loop.call_later(left, self._overran, attempt, limit * OVERRUN))

    def _overran(self, attempt: Attempt, elapsed_s: float) -> None:
        """Count the attempt against the class that it turned out to belong to, and give its process less weight."""
        attempt.size = POLICY.cutoffs.classify(elapsed_s)
        if attempt.child is not None:
            attempt.child.renice(NICE[attempt.size])
        self._watch_class(attempt, elapsed_s)
        writing = asyncio.get_running_loop().create_task(self._write_class(attempt, attempt.size))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        self._changed()

    async def _write_class(self, attempt: Attempt, size: Size) -> None:
        claim = attempt.claim
        try:
            async with transaction(self._engine) as session:
                await ledger.reclass(session, claim.id, claim.attempt, size)
        except UNREACHABLE as error:
            log.warning(
                "cannot write the class: %s", error, extra={"action": "reclass.failed", "job_id": str(claim.id)}
            )
        else:
            log.info("re-classed", extra={"action": "job.reclassed", "job_id": str(claim.id), "size": size})

    async def _settle(self, attempt: Attempt, outcome: Outcome, policy: RetryPolicy) -> None:
        claim = attempt.claim
        verdict = judge(outcome, claim.failures, policy, jitter())
        settled = await self._settler.settle(Settlement(claim.id, claim.attempt, verdict))
        log.info(
            "attempt ended" if settled else "a late attempt changed nothing",
            extra={
                "action": "attempt.ended" if settled else "attempt.late",
                "job_id": str(claim.id),
                "kind": claim.kind,
                "attempt": claim.attempt,
                "state": verdict.state,
            },
        )

    def _kill(self, attempt: Attempt) -> None:
        if attempt.child is not None:
            attempt.child.kill(STOPPED)


def _stopped(attempt: Attempt) -> Outcome:
    return Cancelled() if attempt.stopping == "cancel" else Interrupted(attempt.stopping or "lost")


def _meant(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Read the outcome of an attempt that was told to stop: killed in the end, it was still our doing."""
    if isinstance(outcome, Failed) and outcome.error.code == STOPPED.code:
        outcome = _stopped(attempt)
    if isinstance(outcome, Interrupted) and attempt.size != attempt.claim.size:
        return Interrupted(outcome.why, attempt.size)
    return outcome
