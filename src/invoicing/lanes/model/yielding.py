"""Which running work gives way to what waits, and where the work that gave way waits then."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter

from invoicing.jobs.model import Size
from invoicing.lanes.model.lane import SIZES, Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.running import Running
from invoicing.lanes.model.waiting import Waiting

Entitled = Callable[[Waiting, Running], bool]
"""Whether the first would be chosen before the second if both waited, by what their customers were given."""

_SIZE = {size: place for place, size in enumerate(SIZES)}


def asked_to_give_way(
    running: Sequence[Running],
    blocked: Sequence[Waiting],
    now: float,
    policy: Policy,
    entitled: Entitled = lambda _waiting, _running: True,
) -> list[Running]:
    """Choose, for each waiting job that found no room, one running attempt that stops at its next checkpoint for it.

    `blocked` are the jobs that would start next, in order; `running` are those not asked yet. The largest class gives
    way first, then whoever ran longest; nobody before it has run its least, and to its equals only after its turn.
    """
    soonest = min(policy.least_run_s, *policy.turn_s.values())
    grown = (one for one in running if now - one.since >= soonest)  # short jobs are many, and nearly never among them
    candidates = sorted(grown, key=lambda one: (-_SIZE[one.lane.size], one.since))
    chosen: list[Running] = []
    for waiting in blocked:
        victim = next((one for one in candidates if _gives_way(one, waiting, now, policy, entitled)), None)
        if victim is not None:
            candidates.remove(victim)
            chosen.append(victim)
    return chosen


def gives_way_at(running: Running, waiting: Waiting, policy: Policy) -> float | None:
    """When a running attempt has had enough to give way to a waiting job (as its `since`); None: never.

    Soon, where the waiting one is of a lane that goes first; else after its turn.
    """
    theirs, mine = _SIZE[waiting.lane.size], _SIZE[running.lane.size]
    if theirs > mine:
        return None
    first = _delay(waiting.lane, policy) < _delay(running.lane, policy)
    return running.since + (policy.least_run_s if first else policy.turn_s[running.lane.size])


def order_after_turn(lane: Lane, order_at: float, now: float, policy: Policy, *, expedited: bool = False) -> float:
    """When work that gave way counts as due: behind what waits in its lane already, unless somebody expedited it."""
    return order_at if expedited else max(order_at, now + _delay(lane, policy))


def outgrown(running: Sequence[Running], quota: Mapping[Size, int]) -> list[Running]:
    """Choose who gives way because more of a class run than may: they turned out larger than they were taken for.

    Of the classes that are over their quota those go first that ran longest; whether anything waits does not matter.
    """
    return list(_surplus(sorted(running, key=attrgetter("since")), quota))


def _surplus(running: list[Running], quota: Mapping[Size, int]) -> Iterator[Running]:
    kept = running
    for size in reversed(SIZES):
        those = [one for one in kept if _SIZE[one.lane.size] >= _SIZE[size]]
        over = those[: max(0, len(those) - quota[size])]
        yield from over
        kept = [one for one in kept if one not in over]


def _gives_way(running: Running, waiting: Waiting, now: float, policy: Policy, entitled: Entitled) -> bool:
    at = gives_way_at(running, waiting, policy)
    return at is not None and now >= at and entitled(waiting, running)


def _delay(lane: Lane, policy: Policy) -> float:
    return policy.delays_s[lane.priority][lane.size]
