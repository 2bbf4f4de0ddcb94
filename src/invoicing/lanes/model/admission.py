"""Whether a new job is taken in: by the wait to be expected, which a flood makes long for its own customer alone.

The scheduler serves the least served customer first, in seconds of slot by weight, and each customer's own jobs by
deadline. So by the time a new job begins, its customer was given the work that it has waiting ahead of the job, and
every other customer as much by weight, or all that it has waiting where that is less; the slots that the job's class
may use did all of it:

    wait = (own work ahead + sum over others of min(their work, their weight x span)) / slots
    span = (own work ahead + the job's own first turn) / own weight

Ahead are, of its own customer's jobs, those of its own and smaller classes that are not less urgent, and of the
others', those of its own and smaller classes: larger work gives way. The wait is never above all that work / slots, nor
above own work ahead x active weights / own weight / slots, but for the turn that each other customer may take before
it. Who has nothing waiting thus waits for one turn of each other customer, however much they have. A customer that may
have few jobs running waits for its own work at least as long as these need for it.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import accumulate
from math import ceil, isfinite
from types import MappingProxyType
from uuid import UUID

from invoicing.customers.model import Allotment
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model.lane import LANES, SIZES, Lane
from invoicing.lanes.model.policy import POLICY, Policy
from invoicing.lanes.model.tally import Tally

LONGEST_RETRY_S = 3_600
"""Nobody is sent away for longer: by then workers may have been added."""

_UNKNOWN_RETRY_S = 60
_PRIORITIES = tuple(Priority)
_USUAL = Allotment()


Backlog = Mapping[UUID, Mapping[Lane, Tally]]
"""What waits, by customer and lane."""


class Own:
    """What one customer has waiting; counted on as its jobs are taken in."""

    __slots__ = ("jobs", "work_s")

    def __init__(self, tallies: Mapping[Lane, Tally] = MappingProxyType({})) -> None:
        """Begin with what was counted before."""
        self.jobs = sum(tally.waiting for tally in tallies.values())
        self.work_s = {lane: tally.work_s for lane, tally in tallies.items()}

    def count(self, lane: Lane, work_s: float) -> None:
        """Count one more job."""
        self.jobs += 1
        self.work_s[lane] = self.work_s.get(lane, 0.0) + work_s

    def discount(self, lane: Lane, work_s: float) -> None:
        """Count one job less."""
        self.jobs -= 1
        self.work_s[lane] = max(0.0, self.work_s.get(lane, 0.0) - work_s)


@dataclass(frozen=True)
class Applicant:
    """A job that asks to be taken in."""

    customer_id: UUID
    lane: Lane
    predicted_s: float
    promise_s: float


class Reason(StrEnum):
    """Why a job is refused."""

    OWN_LIMIT = "own_limit"
    """Its customer has as many jobs waiting as it may have."""
    OWN_WORK = "own_work"
    """Its customer's own waiting work makes the wait too long; another customer would be taken in."""
    OVERLOAD = "overload"
    """The wait is too long for a customer with nothing waiting, too."""


@dataclass(frozen=True)
class Admitted:
    """The job is taken in; the wait to be expected (seconds) is None where it is not known."""

    predicted_s: float | None


@dataclass(frozen=True)
class Refused:
    """The job is not taken in now."""

    reason: Reason
    retry_after_s: int
    """When it will be, if nothing else comes and the slots stay as they are; from 1 s to an hour."""
    predicted_s: float | None = None
    allowed_s: float | None = None
    waiting: int | None = None
    most: int | None = None


class Rivals:
    """Waiting work of many customers, arranged so that what they get meanwhile is found without going over them."""

    def __init__(self, work: Iterable[tuple[float, float]]) -> None:
        """Take (work in seconds, weight) of each customer."""
        ranked = sorted((work_s / weight, work_s, weight) for work_s, weight in work if work_s > 0)
        self._spans = [span for span, _, _ in ranked]
        self._done = list(accumulate((work_s for _, work_s, _ in ranked), initial=0.0))
        left = list(accumulate((weight for _, _, weight in reversed(ranked)), initial=0.0))
        self._weights = left[::-1]

    def served(self, span: float) -> float:
        """How many seconds they get, all together, while a customer of weight 1 is given `span` seconds."""
        place = bisect_right(self._spans, span)
        return self._done[place] + self._weights[place] * span


@dataclass(frozen=True)
class Outlook:
    """What waits, for whom, and which slots there are for it, at one moment."""

    backlog: Backlog = field(default_factory=dict)
    slots: Mapping[Lane, int] = field(default_factory=dict)
    """How many slots of live workers each lane may use; none: nothing is known of the wait."""
    allotments: Mapping[UUID, Allotment] = field(default_factory=dict)
    policy: Policy = POLICY
    paused: frozenset[Lane] = frozenset()
    """Lanes that hold their jobs back: nobody waits for these, and what they will wait is not known."""
    on_hold: frozenset[UUID] = frozenset()
    """Customers of whom nothing starts: what they have waiting counts as no work, and how long it will is not known."""
    _rivals: dict[Size, Rivals] = field(default_factory=dict, init=False, repr=False, compare=False)

    def admit(self, job: Applicant, own: Own | None = None) -> Admitted | Refused:
        """Decide about a job; `own` is what its customer has waiting, where that is newer than the backlog."""
        own = self.own(job.customer_id) if own is None else own
        full = self.full(job.customer_id, own)
        if full is not None:
            return full
        predicted = self.wait(job, own)
        allowed = self.allowed_s(job.lane, job.promise_s)
        if predicted is None or predicted <= allowed:
            return Admitted(predicted)
        alone = self.wait(job, Own())
        reason = Reason.OVERLOAD if alone is not None and alone > allowed else Reason.OWN_WORK
        return Refused(reason, _retry_after(predicted - allowed), predicted, allowed)

    def own(self, customer_id: UUID) -> Own:
        """Give what a customer has waiting."""
        return Own(self.backlog.get(customer_id, {}))

    def allowed_s(self, lane: Lane, promise_s: float) -> float:
        """Give the longest predicted wait (seconds) with which a job of a lane is taken in."""
        return promise_s * self.policy.patience[lane.priority]

    def plenty(self, customer_id: UUID, lane: Lane, promise_s: float, own: Own, more_s: float) -> bool:
        """Tell at little cost that a job will be admitted; False: that is to be worked out.

        No wait is longer than all work that waits, and `more_s` that has come since, over the slots of the lane; a
        customer with an allotment of its own may have a longer one.
        """
        if customer_id in self.allotments or own.jobs >= self.policy.max_waiting:
            return False
        return self._everything_s + more_s <= self.allowed_s(lane, promise_s) * self.slots.get(lane, 0)

    @cached_property
    def _everything_s(self) -> float:
        return sum(tally.work_s for tallies in self.backlog.values() for tally in tallies.values())

    def full(self, customer_id: UUID, own: Own) -> Refused | None:
        """Refuse whatever a customer sends that has as many jobs waiting as it may have."""
        most = self.allotments.get(customer_id, _USUAL).max_waiting or self.policy.max_waiting
        if own.jobs < most:
            return None
        drained = self._until_served(customer_id, own, Lane(Priority.BULK, SIZES[-1]), 0.0)
        retry = _UNKNOWN_RETRY_S if drained is None else drained * (own.jobs - most + 1) / own.jobs
        return Refused(Reason.OWN_LIMIT, _retry_after(retry), waiting=own.jobs, most=most)

    def wait(self, job: Applicant, own: Own) -> float | None:
        """Predict how long a job will wait for its start (seconds); None: nobody can know."""
        if job.lane in self.paused:
            return None
        first = min(job.predicted_s, self.policy.turn_s[job.lane.size])
        return self._until_served(job.customer_id, own, job.lane, first)

    def _until_served(self, customer_id: UUID, own: Own, lane: Lane, first_s: float) -> float | None:
        slots = self.slots.get(lane, 0)
        if slots <= 0 or customer_id in self.on_hold:
            return None
        allotment = self.allotments.get(customer_id, _USUAL)
        before = _AHEAD[lane]
        ahead = sum(work_s for one, work_s in own.work_s.items() if one in before and one not in self.paused)
        span = (ahead + first_s) / allotment.weight
        counted = self._work(customer_id, lane.size)  # the backlog's share of its own must not count as a rival's
        others = self._rivals_in(lane.size).served(span) - min(counted, span * allotment.weight)
        return max((ahead + max(0.0, others)) / slots, ahead / min(slots, allotment.max_running or slots))

    def _rivals_in(self, size: Size) -> Rivals:
        found = self._rivals.get(size)
        if found is None:
            weights = ((one, self.allotments.get(one, _USUAL).weight) for one in self.backlog)
            found = self._rivals[size] = Rivals((self._work(one, size), weight) for one, weight in weights)
        return found

    def _work(self, customer_id: UUID, size: Size) -> float:
        """Sum up a customer's waiting work in a class and the smaller ones, as the backlog has it."""
        place = SIZES.index(size)
        tallies = self.backlog.get(customer_id, {})
        return sum(
            tally.work_s
            for lane, tally in tallies.items()
            if SIZES.index(lane.size) <= place and lane not in self.paused
        )


def _not_behind(other: Lane, lane: Lane) -> bool:
    smaller = SIZES.index(other.size) <= SIZES.index(lane.size)
    return smaller and _PRIORITIES.index(other.priority) <= _PRIORITIES.index(lane.priority)


_AHEAD = {lane: frozenset(other for other in LANES if _not_behind(other, lane)) for lane in LANES}
"""The lanes of a customer whose jobs come before a new one of a lane."""


def _retry_after(seconds: float) -> int:
    """Round up to whole seconds, within bounds: the wait of whoever comes later falls by a second each second."""
    return min(LONGEST_RETRY_S, max(1, ceil(seconds))) if isfinite(seconds) else LONGEST_RETRY_S
