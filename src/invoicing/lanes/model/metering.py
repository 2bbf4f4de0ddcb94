"""What attempts really use: charged in advance when released, corrected while they run and when they end."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from invoicing.jobs.model import Size
from invoicing.lanes.model.lane import Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.resting import Ends
from invoicing.lanes.model.running import Running
from invoicing.lanes.model.waiting import Waiting

_LEAST_S = 0.02
"""Smaller differences are charged with the next one (seconds)."""

_NEWS = 0.1
"""How much the last end counts in how long jobs of its class usually take."""

Attempt = tuple[UUID, int]


class Charge(NamedTuple):
    """Service to be counted (seconds of slot; negative: given back)."""

    customer_id: UUID
    key_id: UUID
    seconds: float
    lane: Lane


@dataclass
class _Metered:
    customer_id: UUID
    key_id: UUID
    lane: Lane
    charged_s: float
    aside_s: float = 0.0
    """For how long it ran on without a slot, or not at all (seconds)."""
    seen_at: float = 0.0


def first_s(predicted_s: float, size: Size, policy: Policy) -> float:
    """Give what a job is charged when it is released (seconds): its predicted work, as far as it runs in one turn."""
    return min(predicted_s, policy.turn_s[size])


class Meter:
    """The attempts under way, with what each was charged so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._metered: dict[Attempt, _Metered] = {}
        self._gone: dict[Attempt, _Metered] = {}
        self.pace: dict[Size, float] = {}
        """How long jobs of a class took lately (seconds of slot)."""
        self.ends = Ends()

    def released(self, one: Waiting) -> None:
        """Note what was charged for a job when it was released."""
        self._metered[one.job_id, one.attempt] = _Metered(one.customer_id, one.key_id, one.lane, one.first_s)

    def refused(self, one: Waiting) -> Charge:
        """Give back what was charged for a job that could not be released after all."""
        del self._metered[one.job_id, one.attempt]
        return Charge(one.customer_id, one.key_id, -one.first_s, one.lane)

    def observe(self, running: Iterable[Running], runway: Iterable[Waiting], now: float) -> list[Charge]:
        """Charge what running attempts used beyond what was charged, and notice which of them are gone.

        One that was released by another dispatcher counts as charged up to now: its account was kept by that one. One
        without a worker is set aside and uses no slot.
        """
        charges = []
        here: set[Attempt] = set()
        for one in running:
            attempt = (one.job_id, one.attempt)
            here.add(attempt)
            used_s = now - one.since
            metered = self._metered.get(attempt)
            if metered is None:
                metered = self._metered[attempt] = _Metered(one.customer_id, one.key_id, one.lane, used_s)
            elif one.worker_id is None:
                metered.aside_s += now - (metered.seen_at or now)
            elif used_s - metered.aside_s > metered.charged_s + _LEAST_S:
                used_s -= metered.aside_s
                charges.append(Charge(one.customer_id, one.key_id, used_s - metered.charged_s, one.lane))
                metered.charged_s, metered.lane = used_s, one.lane
            metered.seen_at = now
        for waiting in runway:
            attempt = (waiting.job_id, waiting.attempt)
            here.add(attempt)
            if attempt not in self._metered:
                self.released(waiting)
        gone = self._metered.keys() - here
        for attempt in gone:
            self._gone[attempt] = self._metered.pop(attempt)
        self.ends.note(len(gone), now)
        return charges

    def gone(self, most: int) -> list[Attempt]:
        """Name attempts that are no longer under way and whose end is to be looked up."""
        return list(self._gone)[:most]

    def ended(self, asked: Collection[Attempt], used: Mapping[Attempt, float]) -> list[Charge]:
        """Correct the charges of attempts by what they used (seconds); one that never began used nothing."""
        charges = []
        for attempt in asked:
            metered = self._gone.pop(attempt, None)
            if metered is None:
                continue
            used_s = max(0.0, used.get(attempt, 0.0) - metered.aside_s)
            if attempt in used:
                usual = self.pace.setdefault(metered.lane.size, used_s)
                self.pace[metered.lane.size] = usual + _NEWS * (used_s - usual)
            if used_s != metered.charged_s:
                charges.append(Charge(metered.customer_id, metered.key_id, used_s - metered.charged_s, metered.lane))
        return charges
