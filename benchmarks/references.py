"""Other policies over the same jobs, for comparison: first come first served, fixed lanes, and a clairvoyant bound."""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from invoicing.lanes.model import POLICY, SIZES
from invoicing.plan.model.simulation import Ended, Work

LANES = {2: (1, 1, 0, 0), 8: (3, 2, 2, 1)}
"""Slots of each class where slots are divided for good; a class without one goes with the next smaller."""


def fifo(work: Iterable[Work], slots: int) -> list[Ended]:
    """Start in the order of arrival; nothing gives way."""
    free = [0.0] * slots
    ended = []
    for one in work:
        start_s = max(one.at_s, heappop(free))
        heappush(free, start_s + one.size_s)
        ended.append(Ended(one, start_s, start_s + one.size_s))
    return ended


def fixed_lanes(work: Sequence[Work], slots: int) -> list[Ended]:
    """Give each class slots of its own, by what the jobs claim."""
    ended = []
    by_class: dict[int, list[Work]] = {}
    for one in work:
        place = SIZES.index(POLICY.cutoffs.classify(one.estimated_s))
        while not LANES[slots][place]:
            place -= 1
        by_class.setdefault(place, []).append(one)
    for place, those in by_class.items():
        ended += fifo(those, LANES[slots][place])
    return ended


def shortest_remaining(work: Sequence[Work], slots: int) -> list[Ended]:
    """Run what will end first, knowing it: the bound for slowdowns, which nobody can reach."""
    started: dict[int, float] = {}
    ended = []
    active: list[tuple[float, int]] = []
    now = 0.0
    for number, one in enumerate([*work, None]):
        until = one.at_s if one else float("inf")
        while active and now < until:
            running = [heappop(active) for _ in range(min(slots, len(active)))]
            for _, which in running:
                started.setdefault(which, now)
            passed = min(running[0][0], until - now)
            now += passed
            for left_s, which in running:
                if left_s - passed > 1e-12:
                    heappush(active, (left_s - passed, which))
                else:
                    ended.append(Ended(work[which], started[which], now))
        if one:
            now = one.at_s
            heappush(active, (one.size_s, number))
    return ended
