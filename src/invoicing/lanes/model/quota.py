"""Slots and quotas: small work may use every slot, larger work never the last ones."""

from collections.abc import Mapping

from invoicing.jobs.model import Size
from invoicing.lanes.model.lane import SIZES
from invoicing.lanes.model.policy import POLICY, Policy

Left = dict[Size, int]
"""How many more jobs of each class *or larger* may start; one of a class uses up what is left for it and below."""


def quotas(slots: int, policy: Policy = POLICY) -> Mapping[Size, int]:
    """How many of a worker's `slots` may run jobs of a class *or larger*."""
    found = {size: max(1, slots - int(slots * policy.reserve[size])) for size in SIZES}
    found[Size.SMALL] += policy.spare
    return found


def left_of(quota: Mapping[Size, int], running: Mapping[Size, int]) -> Left:
    """Compute what is left of quotas, given how many of each class run.

    Those over the quota of their class (they turned out larger than they were taken for) count only up to it, so that
    smaller work gets its slots back as soon as they are re-classed.
    """
    occupied = 0
    left: Left = {}
    for size in reversed(SIZES):
        occupied += running.get(size, 0)
        left[size] = quota[size] - occupied
        occupied = min(occupied, quota[size])
    return left


def fits(left: Mapping[Size, int], size: Size) -> bool:
    """Tell whether one more job of a class may start."""
    return all(left[below] > 0 for below in SIZES[: SIZES.index(size) + 1])


def used(left: Mapping[Size, int], size: Size) -> Left:
    """Give what is left after one more of a class has started."""
    same_or_smaller = SIZES[: SIZES.index(size) + 1]
    return {other: count - (other in same_or_smaller) for other, count in left.items()}


def free_for(size: Size, running: Mapping[Size, int], slots: int, policy: Policy = POLICY) -> int:
    """How many more jobs of a class may start on a worker, given how many of each run."""
    left = left_of(quotas(slots, policy), running)
    return max(0, min(left[below] for below in SIZES[: SIZES.index(size) + 1]))
