"""How many more jobs may be released: free slots of the fleet, and a short runway beyond them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from invoicing.jobs.model import Size
from invoicing.lanes.model.lane import LANES, SIZES, Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.quota import Left, left_of, quotas
from invoicing.lanes.model.workers import Worker

MOST_PER_SLOT = 256
"""Tickets on a runway beyond its free slots, per slot: what no job takes long enough to need more of."""


@dataclass(frozen=True)
class Capacity:
    """The slots of the workers that take jobs."""

    by_worker: Mapping[UUID, Mapping[Size, int]]
    """How many jobs of a class *or larger* each of them may run."""
    idle: Left
    """How many jobs of each class or larger could start if nothing ran."""
    slots: int
    served: Mapping[Lane, int]
    """How many jobs of a lane could run at once if nothing else did."""


def capacity(workers: Iterable[tuple[Worker, int, Policy]]) -> Capacity:
    """Add up what the workers offer that live and do not stop; each with its slots and the policy of its host."""
    by_worker: dict[UUID, Mapping[Size, int]] = {}
    served = dict.fromkeys(LANES, 0)
    idle = dict.fromkeys(SIZES, 0)
    total = 0
    for worker, slots, policy in workers:
        if worker.alive and not worker.stopping:
            quota = by_worker[worker.id] = quotas(slots, policy)
            total += slots
            for size, count in _startable(quota).items():
                idle[size] += count
            names = set(worker.lanes)
            for lane in LANES:
                served[lane] += quota[lane.size] if lane.name in names else 0
    return Capacity(by_worker, idle, total, served)


def free(capacity: Capacity, held: Iterable[tuple[UUID | None, Size]]) -> Left:
    """How many more jobs of each class or larger may start at once, over all workers.

    `held` are the slots that are taken: on which worker, and by which class.
    """
    runs: dict[UUID | None, dict[Size, int]] = {}
    for worker_id, size in held:
        counts = runs.setdefault(worker_id, {})
        counts[size] = counts.get(size, 0) + 1
    found = dict(capacity.idle)
    for worker_id, counts in runs.items():
        quota = capacity.by_worker.get(worker_id) if worker_id else None
        if quota is not None:
            taken, idle = _startable(left_of(quota, counts)), _startable(quota)
            for size in SIZES:
                found[size] += taken[size] - idle[size]
    return found


def ahead(capacity: Capacity, pace: Mapping[Size, float], policy: Policy) -> Left:
    """How many tickets of each class or larger may lie on the runways beyond the free slots.

    `pace` is how long jobs of a class usually take (seconds). Jobs too short for a round trip to be hidden behind them
    get more, larger ones next to none.
    """
    found = dict.fromkeys(SIZES, 0)
    most = MOST_PER_SLOT * capacity.slots
    for size in reversed(SIZES):
        usual = pace.get(size)
        covered = 0 if usual is None else most if usual * most <= policy.runway_s else policy.runway_s / usual
        found[size] = min(most, int(covered * capacity.slots))
    found[Size.SMALL] = max(found[Size.SMALL], capacity.slots)
    larger = 0
    for size in reversed(SIZES):
        larger = found[size] = max(larger, found[size])
    return found


def lane_bounds(capacity: Capacity, paused: Iterable[Lane], there: Mapping[Lane, int]) -> dict[Lane, int]:
    """How many more jobs may be released of lanes that are paused, or that not every worker serves.

    `there` is how many jobs of each lane run or lie ready.
    """
    found = dict.fromkeys(paused, 0)
    for lane in LANES:
        if capacity.served[lane] < capacity.idle[lane.size]:
            found.setdefault(lane, max(0, capacity.served[lane] - there.get(lane, 0)))
    return found


def room(free: Left, ahead: Left, released: Mapping[Size, int]) -> Left:
    """How many more jobs of each class or larger may be released, given how many of each class are on the runways."""
    found: Left = {}
    there = 0
    for size in reversed(SIZES):
        there += released.get(size, 0)
        found[size] = free[size] + ahead[size] - there
    return found


def _startable(left: Mapping[Size, int]) -> Left:
    """How many of each class or larger may start, where each one also needs room in every smaller class."""
    return {size: max(0, min(left[below] for below in SIZES[: place + 1])) for place, size in enumerate(SIZES)}
