"""The fewest slots, and the reserve, that keep promises: found by simulating, not by a formula."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from invoicing.jobs.model import Size
from invoicing.lanes.model import SIZES, Policy, quotas
from invoicing.plan.model.scenario import Kept, Promise, Scenario
from invoicing.plan.model.work import Fleet

MOST_SLOTS = 256
"""How far the search for slots goes."""

RESERVES: Sequence[Mapping[Size, float]] = (
    dict.fromkeys(SIZES, 0.0),
    dict(zip(SIZES, (0.0, 0.125, 0.25, 0.375), strict=True)),
    dict(zip(SIZES, (0.0, 0.25, 0.375, 0.5), strict=True)),
    dict(zip(SIZES, (0.0, 0.25, 0.5, 0.75), strict=True)),
)
"""Shares of the slots kept from larger work that the search tries beside those of the policy."""


@dataclass(frozen=True)
class Found:
    """The fewest slots that keep all promises, and the reserve with which they do."""

    slots: int
    fleet: Fleet
    policy: Policy
    kept: tuple[Kept, ...]
    tried: int
    """How many fleets and policies were told apart by simulating them."""


def fewest_slots(scenario: Scenario, promises: Sequence[Promise], most: int = MOST_SLOTS) -> Found | None:
    """Search for the fewest slots, over all workers, that keep all promises; None: not even `most` do.

    First with the policy's own reserve; then whether another reserve does with fewer still. That is searched in the
    first run; what it found must do in all of them, else more slots are tried. The workers stay as many as they are,
    or become fewer where there are fewer slots than workers.
    """
    search = _Search(replace(scenario, runs=1), promises)
    policy = scenario.policy
    least = fewest(lambda slots: search.keeps(slots, policy), _work_alone(scenario), most) or most + 1
    for other in _others(scenario.policy):
        while least > 1 and search.keeps(least - 1, other):
            least, policy = least - 1, other
    surely = search if scenario.runs == 1 else _Search(scenario, promises)
    found = next((slots for slots in range(least, most + 1) if surely.keeps(slots, policy)), None)
    if found is None:
        return None
    best, kept = surely.found[found]
    return Found(found, best.fleet, best.policy, kept, len(search.tried))


class _Search:
    """What was tried, so that nothing is simulated twice, and what was found for each number of slots."""

    def __init__(self, scenario: Scenario, promises: Sequence[Promise]) -> None:
        self._scenario = scenario
        self._promises = promises
        self.tried: dict[object, bool] = {}
        self.found: dict[int, tuple[Scenario, tuple[Kept, ...]]] = {}

    def keeps(self, slots: int, policy: Policy) -> bool:
        """Tell whether so many slots keep all promises; policies that make the same quotas are the same."""
        workers = spread_over(slots, len(self._scenario.fleet.workers))
        told_apart = tuple(tuple(quotas(own, policy).values()) for own in workers)
        if told_apart not in self.tried:
            deaths = tuple(death for death in self._scenario.fleet.deaths if death.worker < len(workers))
            fleet = replace(self._scenario.fleet, workers=workers, deaths=deaths)
            candidate = replace(self._scenario, fleet=fleet, policy=policy)
            kept = tuple(candidate.kept(promise) for promise in self._promises)
            self.tried[told_apart] = all(one.is_kept for one in kept)
            if self.tried[told_apart]:
                self.found[slots] = candidate, kept
        return self.tried[told_apart]


def _others(policy: Policy) -> list[Policy]:
    return [replace(policy, reserve=reserve) for reserve in RESERVES if reserve != policy.reserve]


def spread_over(slots: int, workers: int) -> tuple[int, ...]:
    """Share slots out among workers as evenly as they go."""
    many = min(slots, workers)
    each, left = divmod(slots, many)
    return tuple(each + (index < left) for index in range(many))


def _work_alone(scenario: Scenario) -> int:
    """Guess where to begin: as many slots as the work keeps busy by itself."""
    jobs = scenario.jobs(0)
    last_s = max((job.at_s for job in jobs), default=0.0)
    return math.ceil(math.fsum(job.size_s for job in jobs) / last_s) if last_s else 1


def fewest(kept: Callable[[int], bool], first: int, most: int) -> int | None:
    """Give the smallest number from 1 to `most` for which `kept` holds: twice as many until it does, then by halving.

    Begins at `first`, a guess. None: even `most` is too few. The number found was tried, and so was one less.
    """
    high = min(max(first, 1), most)
    low = 0
    while not kept(high):
        if high == most:
            return None
        low, high = high, min(most, high * 2)
    while high - low > 1:
        middle = (low + high) // 2
        if kept(middle):
            high = middle
        else:
            low = middle
    return high
