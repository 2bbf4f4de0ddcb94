"""How many more jobs may be released: free slots of the fleet, and a short runway beyond them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
    alike: dict[tuple[int, int, Sequence[str]], tuple[Policy, list[UUID]]] = {}
    for worker, slots, policy in workers:
        if worker.alive and not worker.stopping:
            alike.setdefault((slots, id(policy), worker.lanes), (policy, []))[1].append(worker.id)
    by_worker: dict[UUID, Mapping[Size, int]] = {}
    served = dict.fromkeys(LANES, 0)
    idle = dict.fromkeys(SIZES, 0)
    total = 0
    for (slots, _, names), (policy, ids) in alike.items():
        quota = quotas(slots, policy)
        by_worker |= dict.fromkeys(ids, quota)
        total += slots * len(ids)
        for size, count in zip(SIZES, _startable(quota), strict=True):
            idle[size] += count * len(ids)
        for lane in LANES:
            served[lane] += quota[lane.size] * len(ids) if lane.name in names else 0
    return Capacity(by_worker, idle, total, served)


def free(capacity: Capacity, held: Iterable[tuple[UUID | None, Size]]) -> Left:
    """How many more jobs of each class or larger may start at once, over all workers.

    `held` are the slots that are taken: on which worker, and by which class.
    """
    runs: dict[UUID | None, list[int]] = {}
    for worker_id, size in held:
        runs.setdefault(worker_id, [0] * len(SIZES))[SIZES.index(size)] += 1
    offers = {id(quota): quota for quota in capacity.by_worker.values()}
    alike = Counter((id(quota), tuple(runs[worker])) for worker, quota in capacity.by_worker.items() if worker in runs)
    found = [capacity.idle[size] for size in SIZES]
    for (offer, counts), workers in alike.items():
        quota = offers[offer]
        left = left_of(quota, dict(zip(SIZES, counts, strict=True)))
        for place, (now, idle) in enumerate(zip(_startable(left), _startable(quota), strict=True)):
            found[place] += workers * (now - idle)
    return dict(zip(SIZES, found, strict=True))


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


def _startable(left: Mapping[Size, int]) -> tuple[int, ...]:
    """How many of each class or larger may start, where each one also needs room in every smaller class."""
    return tuple(max(0, least) for least in accumulate((left[size] for size in SIZES), min))
