"""Attempts from their claim to their settlement: given to a child in packs, stopped, taken back, judged, settled."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from time import time_ns

from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import (
    YIELD,
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    RetryPolicy,
    Settlement,
    Size,
    declared,
    jitter,
    judge,
    said_of,
    spared,
)
from invoicing.jobs.tracing import Traces
from workers.attempts import Attempt, Key, Pack, packed
from workers.endings import told
from workers.nursery import Nursery
from workers.sandbox import ChildGone, ChildProcess
from workers.settling import Settler
from workers.terms import Terms

log = logging.getLogger(__name__)

STOPPED = JobError("stopped", "The attempt did not stop in its grace time and was killed.")
MOVED = JobError("moved", "The attempt did not give way and is done elsewhere.")

_UNPACKED = Interrupted("unpacked")
"""How attempts end that go back because the one before them in their pack takes long."""


class Runner:
    """Runs packs of attempts; every kind passes here."""

    def __init__(
        self,
        kinds: Kinds,
        nursery: Nursery,
        settler: Settler,
        terms: Terms,
        changed: Callable[[], None],
        traces: Traces | None = None,
    ) -> None:
        """Work with children; `changed` is called when a slot became free."""
        self._kinds = kinds
        self._nursery = nursery
        self._settler = settler
        self._terms = terms
        self._changed = changed
        self._traces = traces
        self.attempts: dict[Key, Attempt] = {}
        """All whose lease is to be renewed: until their end is written."""
        self.packs: dict[Key, Pack] = {}
        """Those that have a child or wait for one, by each of their attempts that is open."""
        self.ended_as: Counter[tuple[str, str, str]] = Counter()
        """How many ended so far: by kind, outcome and cause."""
        self.late = 0
        """How many of those ended too late to change anything: others had their jobs by then."""
        self._writing: set[asyncio.Task[None]] = set()

    def running(self) -> dict[Size, int]:
        """Count the packs that hold a slot by the class they now belong to."""
        counts: dict[Size, int] = {}
        for pack in set(self.packs.values()):
            if not pack.aside:
                counts[pack.size] = counts.get(pack.size, 0) + 1
        return counts

    def begin(self, claims: Sequence[Claim]) -> list[Pack]:
        """Hold claimed jobs, and put them into the packs in which they run."""
        now = 0 if self._traces is None else time_ns()
        attempts = [Attempt(claim, self._kinds.get(claim.kind), now) for claim in claims]
        packs = packed(attempts)
        self.attempts.update((attempt.key, attempt) for attempt in attempts)
        self.packs.update((attempt.key, pack) for pack in packs for attempt in pack.given)
        return packs

    async def run(self, pack: Pack) -> None:
        """Carry a pack that has begun to the settlement of all its attempts."""
        try:
            outcomes = await self._perform(pack)
        except Exception:  # whatever goes wrong on our side is a failure, never an attempt without an end
            log.exception("attempts broke off", extra={"action": "attempt.broke_off"})
            error = JobError("internal", "The work could not be supervised to its end.")
            outcomes = {key: Failed(error) for key in pack.open}
        self._end(pack, outcomes)
        self._changed()

    async def ended(self) -> None:
        """Wait until all ends so far are written."""
        while self._writing:
            await asyncio.wait(self._writing)

    def stop(self, attempt: Attempt, why: str, kill_after_s: float | None) -> None:
        """Ask an attempt to stop at its next checkpoint, and kill its child after the grace time."""
        if attempt.stopping in {why, "cancel"}:
            return
        attempt.stopping = why
        pack = self.packs.get(attempt.key)
        if pack is None:  # it has ended
            return
        pack.told.set()
        if pack.child is None:
            return
        if attempt is not pack.current:
            self.take_back(pack)
        elif kill_after_s is not None:
            pack.child.thaw()
            pack.kill_at = asyncio.get_running_loop().time() + kill_after_s
        pack.child.stop(attempt.key, why)

    def go_on(self, attempt: Attempt) -> None:
        """Have an attempt go on that was asked to give way and need not any more."""
        pack = self.packs.get(attempt.key)
        if attempt.stopping == YIELD and pack is not None and pack.child is not None:
            attempt.stopping = None
            pack.child.stop(attempt.key, None)

    def lose(self, attempt: Attempt) -> None:
        """Give up an attempt whose lease is gone: another may have it, so nothing of it is settled."""
        attempt.lost = True
        pack = self.packs.get(attempt.key)
        if pack is None:
            return
        pack.told.set()
        if pack.child is not None and attempt is pack.current:
            pack.child.kill(STOPPED)

    def take_back(self, pack: Pack) -> None:
        """Give back what the child has not begun of a pack: something in it takes longer than was said."""
        if pack.child is not None and len(pack.given) > 1:
            pack.dropped = True
            pack.child.drop()
            self._end(pack, {attempt.key: _stopped(attempt, _UNPACKED) for attempt in pack.not_begun()})

    def take_back_unsaid(self, pack: Pack) -> None:
        """Give back all but the current attempt: the others may have ended, and the child cannot be asked."""
        keep = pack.current.key
        self._end(pack, {key: _stopped(one, _UNPACKED) for key, one in pack.open.items() if key != keep})

    def grace_of(self, attempt: Attempt) -> float:
        """How long an attempt may take to reach a checkpoint after it was told to stop (seconds)."""
        return 5.0 if attempt.kind is None else attempt.kind.grace.total_seconds()

    async def _perform(self, pack: Pack) -> dict[Key, Outcome]:
        """Perform a pack; gives the outcomes of those attempts that were not ended on the way."""
        first = pack.given[0]
        if first.kind is None:
            error = JobError("unknown_kind", f"No build of ours that runs knows the kind {first.claim.kind}.")
            return {first.key: Failed(error)}
        child = self._nursery.take_now(pack.size) or await self._child_for(pack)
        if child is None:
            return {key: _stopped(attempt, _UNPACKED) for key, attempt in pack.open.items()}
        pack.child, pack.began = child, asyncio.get_running_loop().time()
        child.traces = self._traces
        try:
            async with aclosing(child.perform([attempt.claim for attempt in pack.given])) as said:
                async for ended in said:
                    if len(pack.given) > 1 or not child.warm:
                        pack.took.update((one.attempt, one.took) for one in ended)
                    self._end(pack, {one.attempt: one.outcome for one in ended})
        except ChildGone as gone:
            return _broken(pack, gone.error, pack.current)
        finally:
            pack.child = None
            await self._nursery.give_back(child)
        return dict.fromkeys(pack.open, _UNPACKED)

    async def _child_for(self, pack: Pack) -> ChildProcess | None:
        """Wait for a child; None when the pack was told to stop before it had one."""
        taking = asyncio.create_task(self._nursery.take(pack.size))
        told = asyncio.create_task(pack.told.wait())
        await asyncio.wait({taking, told}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (taking, told):
            waiting.cancel()
        await asyncio.wait({taking, told})
        child = None if taking.cancelled() else taking.result()
        if child is not None and pack.told.is_set():
            await self._nursery.give_back(child)
            return None
        return child

    def _end(self, pack: Pack, outcomes: Mapping[Key, Outcome]) -> None:
        """End attempts of a pack: their ends are written in the background, and leases renewed until they are."""
        ended = [(pack.open.pop(key), outcome) for key, outcome in outcomes.items() if key in pack.open]
        for attempt, _ in ended:
            self.packs.pop(attempt.key, None)
        if ended:
            task = asyncio.create_task(self._settle(pack, ended), name="settle")
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _settle(self, pack: Pack, ended: Sequence[tuple[Attempt, Outcome]]) -> None:
        settlements = [self._settlement(pack, attempt, outcome) for attempt, outcome in ended if not attempt.lost]
        try:
            settled = await self._settler.settle(settlements) if settlements else set()
        finally:
            for attempt, _ in ended:
                self.attempts.pop(attempt.key, None)
        if late := [str(one.job_id) for one in settlements if one.job_id not in settled]:
            self.late += len(late)
            log.info("late attempts changed nothing", extra={"action": "attempt.late", "job_ids": late})
        log.info("attempts ended", extra={"action": "attempt.ended", **_summary(settlements, ended)})

    def _settlement(self, pack: Pack, attempt: Attempt, outcome: Outcome) -> Settlement:
        claim, policy = attempt.claim, RetryPolicy() if attempt.kind is None else attempt.kind.retry
        outcome = declared(_meant(pack, attempt, outcome), claim.needs)
        kind, ended = "unknown" if attempt.kind is None else claim.kind, told(outcome)
        self.ended_as[kind, *ended] += 1
        if self._traces is not None:
            self._traces.attempt(claim, attempt.began_ns, *ended)
        verdict = judge(outcome, claim.failures, policy, jitter())
        took = pack.took.get(attempt.key)
        if isinstance(outcome, Interrupted) and outcome.why == YIELD:
            delay = self._terms.policy.due_after(claim.priority, pack.size)
            return Settlement(claim.id, claim.attempt, verdict, delay, took)
        said = said_of(outcome, claim.needs, {} if attempt.kind is None else attempt.kind.dependencies)
        otherwise = spared(outcome, claim.failures, policy)
        return Settlement(claim.id, claim.attempt, verdict, took=took, said=said, spared=otherwise)


def _summary(settlements: Sequence[Settlement], ended: Sequence[tuple[Attempt, Outcome]]) -> dict[str, object]:
    """Say how some attempts ended, in one line of the log: a single one by name, many by number."""
    if len(ended) == 1 and settlements:
        (attempt, _), (settlement,) = ended[0], settlements
        claim = attempt.claim
        about = {"job_id": str(claim.id), "kind": claim.kind, "attempt": claim.attempt}
        return {**about, "state": settlement.verdict.state}
    return {"count": len(ended)}


def _broken(pack: Pack, error: JobError, at_fault: Attempt) -> dict[Key, Outcome]:
    """Judge what a child leaves that is gone: the attempt that it was at fails, the others go back."""
    return {key: Failed(error) if attempt is at_fault else _UNPACKED for key, attempt in pack.open.items()}


def _stopped(attempt: Attempt, otherwise: Outcome) -> Outcome:
    if attempt.stopping is None:
        return otherwise
    return Cancelled() if attempt.stopping == "cancel" else Interrupted(attempt.stopping)


def _meant(pack: Pack, attempt: Attempt, outcome: Outcome) -> Outcome:
    """Read the outcome of an attempt that was told to stop: killed in the end, it was still our doing."""
    match outcome:
        case Failed(JobError(code=STOPPED.code)):
            outcome = _stopped(attempt, Interrupted("lost"))
        case Failed(JobError(code=MOVED.code)):
            outcome = Cancelled() if attempt.stopping == "cancel" else Interrupted("moved")
    if isinstance(outcome, Interrupted) and pack.size != attempt.claim.size:
        return Interrupted(outcome.why, pack.size)
    return outcome
