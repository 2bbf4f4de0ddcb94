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
    """How many fleets and policies were simulated."""


def fewest_slots(scenario: Scenario, promises: Sequence[Promise], most: int = MOST_SLOTS) -> Found | None:
    """Search for the fewest slots, over all workers, that keep all promises under some reserve; None: not even `most`.

    The workers stay as many as they are, or become fewer where there are fewer slots than workers.
    """
    found: dict[int, tuple[Scenario, tuple[Kept, ...]]] = {}
    tried = 0

    def keeps(slots: int) -> bool:
        nonlocal tried
        for candidate in _candidates(scenario, slots):
            tried += 1
            kept = tuple(candidate.kept(promise) for promise in promises)
            if all(one.is_kept for one in kept):
                found[slots] = candidate, kept
                return True
        return False

    least = fewest(keeps, _work_alone(scenario), most)
    if least is None:
        return None
    best, kept = found[least]
    return Found(least, best.fleet, best.policy, kept, tried)


def spread_over(slots: int, workers: int) -> tuple[int, ...]:
    """Share slots out among workers as evenly as they go."""
    many = min(slots, workers)
    each, left = divmod(slots, many)
    return tuple(each + (index < left) for index in range(many))


def _candidates(scenario: Scenario, slots: int) -> list[Scenario]:
    """Give the reserves to be tried with so many slots: that of the policy first, and each set of quotas once."""
    workers = spread_over(slots, len(scenario.fleet.workers))
    deaths = tuple(death for death in scenario.fleet.deaths if death.worker < len(workers))
    fleet = replace(scenario.fleet, workers=workers, deaths=deaths)
    told_apart: dict[object, Policy] = {}
    for policy in (scenario.policy, *(replace(scenario.policy, reserve=reserve) for reserve in RESERVES)):
        told_apart.setdefault(tuple(tuple(quotas(own, policy).values()) for own in workers), policy)
    return [replace(scenario, fleet=fleet, policy=policy) for policy in told_apart.values()]


def _work_alone(scenario: Scenario) -> int:
    """Guess where to begin: as many slots as the work keeps busy by itself."""
    jobs = scenario.jobs(0)
    last_s = max((job.at_s for job in jobs), default=0.0)
    return math.ceil(math.fsum(job.size_s for job in jobs) / last_s) if last_s else 1


def fewest(kept: Callable[[int], bool], first: int, most: int) -> int | None:
    """Give the smallest number from 1 to `most` for which `kept` holds, if what more slots keep, fewer may not.

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
