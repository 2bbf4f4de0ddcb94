"""What a scaler needs to know of the lanes: how much waits in each, what serves it, and how many slots would do."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from invoicing.jobs.model import Priority
from invoicing.lanes.model.lane import LANES, SIZES, Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.quota import quotas
from invoicing.lanes.model.workers import Worker

SOONEST_S = 10.0
"""Nothing is wanted done sooner than a new worker could begin (seconds): a slot that comes later is no help."""

PolicyOf = Callable[[str], Policy]
"""Gives the policy of a host."""

Waiting = Mapping[Lane, tuple[int, float]]
"""Jobs waiting in a lane, and their predicted work (seconds)."""

NOTHING = (0, 0.0)

_PRIORITIES = tuple(Priority)


@dataclass(frozen=True)
class Signal:
    """How a lane stands: jobs waiting, predicted work of these (seconds), running, slots that may serve it."""

    lane: Lane
    waiting: int
    work_s: float
    running: int
    slots: int
    drain_s: float
    """Until its slots have done what waits in it and before it (seconds); infinite where nothing serves it."""
    paused: bool


@dataclass(frozen=True)
class Signals:
    """How all lanes stand, and who serves them, at one moment."""

    lanes: tuple[Signal, ...]
    workers: int
    """Alive, and not about to stop."""
    stopping: int
    slots: int
    """Slots of the former."""
    wanted: int
    """Slots that would let what runs go on and what waits be done by the time it counts as due."""


def signals_of(
    waiting: Waiting,
    running: Mapping[Lane, int],
    workers: Sequence[Worker],
    paused: frozenset[Lane],
    policy: Policy,
    of_host: PolicyOf,
) -> Signals:
    """Set what waits beside what serves it."""
    jobs = {lane: waiting.get(lane, NOTHING)[0] for lane in LANES}
    work = {lane: waiting.get(lane, NOTHING)[1] for lane in LANES}
    alive = [worker for worker in workers if worker.alive]
    serving = [worker for worker in alive if not worker.stopping]
    slots = {lane: _slots(lane, serving, of_host) for lane in LANES}
    found = tuple(
        Signal(
            lane,
            jobs[lane],
            work[lane],
            running.get(lane, 0),
            slots[lane],
            _drain(lane, work, slots[lane], paused),
            lane in paused,
        )
        for lane in LANES
    )
    open_ = {lane: (jobs[lane], work[lane]) for lane in LANES if lane not in paused}
    return Signals(
        found,
        workers=len(serving),
        stopping=len(alive) - len(serving),
        slots=sum(worker.slots for worker in serving),
        wanted=sum(running.values()) + slots_wanted(open_, policy),
    )


def slots_wanted(waiting: Waiting, policy: Policy) -> int:
    """How many slots do what waits by the time each lane counts as due.

    The demand bound of earliest-deadline-first scheduling: for every due time, the work due by then divided by that
    time. No job uses two slots, so a lane never asks for more of them than it has jobs.
    """
    due = {lane: max(SOONEST_S, policy.delays_s[lane.priority][lane.size]) for lane in waiting}
    most = max((_demand(waiting, due, by) / by for by in due.values()), default=0.0)
    return _up(most)


def _demand(waiting: Waiting, due: Mapping[Lane, float], by: float) -> float:
    return sum(min(work_s, jobs * by) for lane, (jobs, work_s) in waiting.items() if due[lane] <= by)


def _up(slots: float) -> int:
    """Round up, but not for what a sum of floats is off by."""
    return -int(-(slots - 1e-9) // 1) if slots > 0 else 0


def _slots(lane: Lane, serving: Iterable[Worker], of_host: PolicyOf) -> int:
    return sum(quotas(one.slots, of_host(one.host))[lane.size] for one in serving if lane.name in one.lanes)


def _drain(lane: Lane, work: Mapping[Lane, float], slots: int, paused: frozenset[Lane]) -> float:
    """Divide what waits in a lane, and in those that come before it, by the slots that may serve it."""
    if not work[lane]:
        return 0.0
    if not slots or lane in paused:
        return inf
    return sum(work[other] for other in LANES if other not in paused and _before(other, lane)) / slots


def _before(other: Lane, lane: Lane) -> bool:
    """Tell whether a lane is as small and as urgent as another, or more."""
    smaller = SIZES.index(other.size) <= SIZES.index(lane.size)
    return smaller and _PRIORITIES.index(other.priority) <= _PRIORITIES.index(lane.priority)
