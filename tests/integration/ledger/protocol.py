"""The protocol between ledger, runway, workers and watchdog as a small state machine: one job, two workers, bad luck.

Times are left out: whatever may happen later may happen now. A worker is an identity; one that dies and is started
again is another, and what the first one lost stays lost. What an outcome or a loss makes of a job is asked of the
service's own rules; what its statements do with that is written down here once more, by hand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from invoicing.jobs.model import (
    FINISHED,
    WAITING,
    YIELD,
    Cancelled,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Rejected,
    RetryPolicy,
    State,
    Succeeded,
    judge,
)
from invoicing.jobs.model.losses import Life, Lost, judge_loss

POLICY = RetryPolicy(max_attempts=2, first_delay=timedelta(0), deaths=2)
ERROR = JobError("broken", "It broke.")
OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        "succeeded": Succeeded({}),
        "rejected": Rejected(ERROR),
        "failed": Failed(ERROR),
        "interrupted": Interrupted("drain"),
        "parked": Interrupted(YIELD),
        "cancelled": Cancelled(),
    }
)
WORKERS = ("A", "B")
GONE = "gone"
"""Any worker that died and will never be heard of again."""

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Place:
    """Where a job stands, in the ledger, on the runway and in the heads of two workers."""

    state: State = State.QUEUED
    attempt: int = 0
    failures: int = 0
    released: bool = False
    ticket: bool = False
    """A ticket for its next attempt is somewhere between ledger and workers."""
    owner: str | None = None
    known: bool = False
    """The owner has heard that it is."""
    over: bool = False
    """The lease has run out."""
    cancel: bool = False
    irrevocable: bool = False
    losses: tuple[tuple[int, str], ...] = ()
    """Lost attempts whose worker has not been heard of since."""
    dead: frozenset[str] = frozenset()
    """Workers that do not run now."""

    @property
    def running(self) -> bool:
        """Whether an attempt is under way, as the ledger sees it."""
        return self.state is State.RUNNING


class Step(NamedTuple):
    """Something that happens; who and which attempt where that matters."""

    name: str
    worker: str = ""
    attempt: int = 0
    how: str = ""


def after(place: Place, step: Step) -> Place:
    """Tell where a job stands after a step; the same place where the step changes nothing."""
    return _STEPS[step.name](place, step)


def _release(place: Place, step: Step) -> Place:
    if place.state not in WAITING or place.released or step.attempt != place.attempt + 1:
        return place
    return replace(place, released=True, ticket=step.how != "lost")


def _flush(place: Place, _step: Step) -> Place:
    return replace(place, ticket=False)


def _reconcile(place: Place, _step: Step) -> Place:
    return replace(place, ticket=place.ticket or place.released)


def _withdraw(place: Place, _step: Step) -> Place:
    """Leave the ticket where it is: it is void, until the job is released once more for the same attempt."""
    return replace(place, released=False)


def _claim(place: Place, step: Step) -> Place:
    """Keep nothing of a ticket that worked; others for the same attempt are as void as it is now."""
    if place.state not in WAITING or not place.released or step.attempt != place.attempt + 1:
        return place
    return replace(
        place,
        state=State.RUNNING,
        attempt=step.attempt,
        released=False,
        ticket=False,
        owner=step.worker,
        known=step.how != "unheard",
        over=False,
    )


def _renew(place: Place, step: Step) -> Place:
    """Renew what the worker asks about and has; being heard, it did not die of what it lost."""
    losses = tuple(one for one in place.losses if one[1] != step.worker)
    has = place.running and (place.attempt, place.owner) == (step.attempt, step.worker)
    return replace(place, losses=losses, over=place.over and not has)


def _expire(place: Place, _step: Step) -> Place:
    return replace(place, over=place.running)


def _rescue(place: Place, step: Step) -> Place:
    if not place.over:
        return place
    deaths = tuple(sorted(number for number, _ in place.losses))
    lost = Lost(UUID(int=1), "drill", place.attempt, place.failures, UUID(int=2), _WHEN,
                irrevocable=place.irrevocable, cancel_requested=place.cancel, deaths=deaths)  # fmt: skip
    verdict = judge_loss(lost, Life(step.how), POLICY, 0.0)
    if verdict is None:
        return place
    losses = (*place.losses, (place.attempt, place.owner or GONE))
    return replace(_ended(place, verdict.state), losses=losses)


def _settle(place: Place, step: Step) -> Place:
    if not place.running or step.attempt != place.attempt:
        return place
    verdict = judge(OUTCOMES[step.how], place.failures, POLICY, 0.0)
    state = written(verdict.state, irrevocable=place.irrevocable)
    state = State.CANCELLED if place.cancel and state in WAITING else state
    return replace(_ended(place, state), failures=verdict.failures)


def written(state: State, *, irrevocable: bool) -> State:
    """Say what is written of a verdict: what cannot be undone must be ended, and does not die."""
    return State.RETRYING if state is State.DEAD and irrevocable else state


def _step(place: Place, step: Step) -> Place:
    if not place.running or step.attempt != place.attempt or place.cancel:
        return place
    return replace(place, irrevocable=True)


def _cancel(place: Place, _step: Step) -> Place:
    if place.state in FINISHED or place.cancel or place.irrevocable:
        return place
    if place.running:
        return replace(place, cancel=True)
    return replace(place, state=State.CANCELLED, cancel=True, released=False)


def _die(place: Place, step: Step) -> Place:
    """Stop for ever: whatever bears its name from now on is another."""
    losses = tuple((number, GONE if who == step.worker else who) for number, who in place.losses)
    owner, known = (GONE, False) if place.owner == step.worker else (place.owner, place.known)
    return replace(place, losses=losses, owner=owner, known=known, dead=place.dead | {step.worker})


def _start(place: Place, step: Step) -> Place:
    return replace(place, dead=place.dead - {step.worker})


def _ended(place: Place, state: State) -> Place:
    return replace(place, state=state, owner=None, known=False, over=False, released=False, ticket=False)


_STEPS = {
    "release": _release,
    "flush": _flush,
    "reconcile": _reconcile,
    "withdraw": _withdraw,
    "claim": _claim,
    "renew": _renew,
    "expire": _expire,
    "rescue": _rescue,
    "settle": _settle,
    "step": _step,
    "cancel": _cancel,
    "die": _die,
    "start": _start,
}


def possible(place: Place, most: int) -> Iterator[Step]:
    """List all that may happen next, however late, doubled or out of order, up to a number of attempts."""
    yield from (Step("flush"), Step("reconcile"), Step("withdraw"), Step("expire"), Step("cancel"))
    yield from (Step("rescue", how=life) for life in Life)
    if place.attempt < most:
        yield from (Step("release", attempt=place.attempt + 1, how=how) for how in ("put", "lost"))
    for worker in WORKERS:
        if worker in place.dead:
            yield Step("start", worker)
            continue
        yield Step("die", worker)
        for attempt in range(1, place.attempt + 1):
            late = attempt < place.attempt or not place.running
            if late or (place.owner == worker and place.known):
                yield from (Step("settle", worker, attempt, how) for how in OUTCOMES)
                yield from (Step(name, worker, attempt) for name in ("renew", "step"))
            yield Step("claim", worker, attempt)
        yield Step("renew", worker, 0)
        if place.ticket and place.attempt < most:
            yield from (Step("claim", worker, place.attempt + 1, how) for how in ("heard", "unheard"))


def ordinary(place: Place) -> Iterator[Step]:
    """List what the service does by itself, with work that succeeds and workers that are started again."""
    yield Step("release", attempt=place.attempt + 1, how="put")
    yield from (Step("reconcile"), Step("expire"), Step("rescue", how=Life.DEAD))
    for worker in WORKERS:
        if worker in place.dead:
            yield Step("start", worker)
        elif place.ticket:
            yield Step("claim", worker, place.attempt + 1, "heard")
        elif place.owner == worker and place.known:
            yield Step("settle", worker, place.attempt, "succeeded")
