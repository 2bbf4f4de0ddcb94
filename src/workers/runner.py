"""One attempt: find its kind, perform it in a child, watch its class, judge the outcome, settle."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

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
from invoicing.lanes.model import LIMITS_S, classify
from workers.nursery import NICE, Nursery
from workers.sandbox import ChildProcess
from workers.settling import UNREACHABLE, Settler

log = logging.getLogger(__name__)

OVERRUN = 1.5
"""A job may take this many times its class's limit before it is re-classed: noise must not move jobs about."""


@dataclass
class Attempt:
    """An attempt that this worker is running."""

    claim: Claim
    size: Size
    child: ChildProcess | None = None
    stopping: str | None = None
    lost: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


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
        self.attempts: dict[tuple[object, int], Attempt] = {}

    def running(self) -> dict[Size, int]:
        """Count the running attempts by the class they now belong to."""
        counts: dict[Size, int] = {}
        for attempt in self.attempts.values():
            counts[attempt.size] = counts.get(attempt.size, 0) + 1
        return counts

    async def run(self, claim: Claim) -> None:
        """Carry a claimed job through one attempt to its settlement."""
        attempt = Attempt(claim, claim.size)
        self.attempts[claim.id, claim.attempt] = attempt
        kind = self._kinds.get(claim.kind)
        try:
            outcome = await self._perform(attempt, kind)
            if not attempt.lost:
                await self._settle(attempt, outcome, kind.retry if kind else RetryPolicy())
        finally:
            del self.attempts[claim.id, claim.attempt]
            self._changed()

    def stop(self, attempt: Attempt, why: str, kill_after_s: float | None) -> None:
        """Ask an attempt to stop at its next checkpoint, and kill its child after the grace time."""
        if attempt.stopping in {why, "cancel"}:
            return
        attempt.stopping = why
        if attempt.child is not None:
            attempt.child.stop(why)
        if kill_after_s is not None:
            attempt.timers.append(asyncio.get_running_loop().call_later(kill_after_s, self._kill, attempt))

    def lose(self, attempt: Attempt) -> None:
        """Give up an attempt whose lease is gone: another may have it, so nothing of it is settled."""
        attempt.lost = True
        self._kill(attempt)

    def grace_of(self, attempt: Attempt) -> float:
        """How long an attempt may take to reach a checkpoint after it was told to stop (seconds)."""
        kind = self._kinds.get(attempt.claim.kind)
        return 5.0 if kind is None else kind.grace.total_seconds()

    async def _perform(self, attempt: Attempt, kind: JobKind | None) -> Outcome:
        claim = attempt.claim
        if kind is None:
            return Failed(JobError("unknown_kind", f"No build of ours that runs knows the kind {claim.kind}."))
        child = await self._nursery.take(claim.size)
        attempt.child = child
        if attempt.lost:
            await self._nursery.give_back(child)
            return Interrupted("lost")
        if attempt.stopping is not None:
            child.stop(attempt.stopping)
        self._watch_class(attempt)
        try:
            outcome = await child.perform(claim, memory_mb=kind.memory_mb, timeout_s=kind.timeout.total_seconds())
        finally:
            for timer in attempt.timers:
                timer.cancel()
            attempt.child = None
            await self._nursery.give_back(child)
        return _meant(attempt, outcome)

    def _watch_class(self, attempt: Attempt) -> None:
        """Set the timer that re-classes the attempt when it outlives its class."""
        limit = LIMITS_S.get(attempt.size)
        if limit is not None:
            loop = asyncio.get_running_loop()
            attempt.timers.append(loop.call_later(limit * OVERRUN, self._overran, attempt, limit * OVERRUN))

    def _overran(self, attempt: Attempt, elapsed_s: float) -> None:
        """Count the attempt against the class that it turned out to belong to, and give its process less weight."""
        attempt.size = classify(elapsed_s)
        if attempt.child is not None:
            attempt.child.renice(NICE[attempt.size])
        self._watch_class_again(attempt)
        asyncio.get_running_loop().create_task(self._write_class(attempt, attempt.size))
        self._changed()

    def _watch_class_again(self, attempt: Attempt) -> None:
        limit = LIMITS_S.get(attempt.size)
        if limit is not None:
            before = max((LIMITS_S[size] for size in LIMITS_S if LIMITS_S[size] < limit), default=0.0)
            wait = (limit - before) * OVERRUN
            loop = asyncio.get_running_loop()
            attempt.timers.append(loop.call_later(wait, self._overran, attempt, limit * OVERRUN))

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
            attempt.child.kill(JobError("stopped", "The attempt did not stop in its grace time and was killed."))


def _meant(attempt: Attempt, outcome: Outcome) -> Outcome:
    """Read the outcome of an attempt that was told to stop: killed in the end, it was still our doing."""
    if isinstance(outcome, Failed) and outcome.error.code == "stopped":
        outcome = Cancelled() if attempt.stopping == "cancel" else Interrupted(attempt.stopping or "lost")
    if isinstance(outcome, Interrupted) and attempt.size != attempt.claim.size:
        return Interrupted(outcome.why, attempt.size)
    return outcome
