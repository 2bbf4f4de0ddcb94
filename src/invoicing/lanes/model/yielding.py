"""Which running work gives way to what waits."""

from collections.abc import Sequence

from invoicing.lanes.model.lane import SIZES
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.running import Running
from invoicing.lanes.model.scheduler import Waiting


def asked_to_give_way(
    running: Sequence[Running], blocked: Sequence[Waiting], now: float, policy: Policy
) -> list[Running]:
    """Choose, for each waiting job that found no room, one running attempt that stops at its next checkpoint for it.

    `blocked` are the jobs that would start next, in order. The largest class gives way first, then whoever ran
    longest; nobody before its quantum, and to its equals only after its turn.
    """
    candidates = sorted(running, key=lambda one: (-SIZES.index(one.lane.size), one.since))
    chosen: list[Running] = []
    for waiting in blocked:
        victim = next((one for one in candidates if _gives_way(one, waiting, now, policy)), None)
        if victim is not None:
            candidates.remove(victim)
            chosen.append(victim)
    return chosen


def _gives_way(running: Running, waiting: Waiting, now: float, policy: Policy) -> bool:
    ran = now - running.since
    mine, theirs = SIZES.index(running.lane.size), SIZES.index(waiting.lane.size)
    if theirs < mine:
        return ran >= policy.quantum_s
    if theirs > mine:
        return False
    if running.customer_id == waiting.customer_id:
        return waiting.lane.priority < running.lane.priority and ran >= policy.quantum_s
    return ran >= policy.turn_s[running.lane.size]
