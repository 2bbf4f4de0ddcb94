"""In which order waiting jobs will start: the scheduler's own decisions, played forward as slots become free."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush
from math import ceil, sqrt
from uuid import UUID

from invoicing.jobs.model import Size
from invoicing.lanes.model.accounts import due_of
from invoicing.lanes.model.lane import SIZES, Lane
from invoicing.lanes.model.newcomers import Coming
from invoicing.lanes.model.quota import left_of
from invoicing.lanes.model.scheduler import Scheduler
from invoicing.lanes.model.waiting import Waiting

_ENDLESS = 1_000_000_000

_UNSURE = 0.5
"""By which part of itself a place may be wrong because jobs take longer or shorter than predicted; and of the newcomers
that are expected, three times the square root more may come."""


@dataclass(frozen=True)
class Held:
    """A slot that is taken: of which class, whose, and for how long at most until it is given to what waits."""

    size: Size
    customer_id: UUID
    for_s: float


@dataclass(frozen=True)
class Ahead:
    """What starts before a job: how many, and for each class how many and how much work (seconds)."""

    count: int
    work: Mapping[Size, tuple[int, float]] = field(default_factory=dict)
    at_least: bool = False
    """There is more that was not looked at."""
    starts_in_s: float | None = None
    """Seconds until its turn comes, where everybody takes as long as predicted; None: not looked so far."""
    fewest: int = 0
    """The band in which the number should lie, for it changes with what comes, ends or is cancelled meanwhile."""
    at_most: int | None = None
    """None: nobody can say."""

    @property
    def work_s(self) -> float:
        """All of the work (seconds)."""
        return sum(seconds for _, seconds in self.work.values())


def banded(ahead: Ahead, then: Ahead | None) -> Ahead:
    """Put a band around a place; `then` is the place if jobs go on to come as they came lately."""
    likely = ahead.count if then is None else then.count
    few, many = sorted((ahead.count, likely))
    most = many + ceil(_UNSURE * many + 3 * sqrt(many - few + 1))
    return replace(ahead, fewest=int(few * (1 - _UNSURE)), at_most=None if ahead.at_least else most)


@dataclass(frozen=True)
class Line:
    """Waiting jobs in the order in which they will start; asked for one of them, adds up what comes before it."""

    places: Mapping[UUID, int]
    counts: Mapping[Size, Sequence[int]]
    """For each class, how many of the first so many are of it."""
    work_s: Mapping[Size, Sequence[float]]
    """The same for their predicted work."""
    turns_s: Mapping[Size, Sequence[float]]
    """The same for the work that they do before they give way."""
    sizes: Sequence[Size]
    starts_in_s: Sequence[float] = ()
    """Seconds until each has its turn; those behind its end never have one, as things are."""

    def ahead(self, job_id: UUID) -> Ahead | None:
        """Say what starts before a job; None where it is not in this line.

        Larger work that starts before gives way to it, so of that only its first turn counts.
        """
        place = self.places.get(job_id)
        if place is None:
            return None
        starts_in_s = self.starts_in_s[place] if place < len(self.starts_in_s) else None
        return replace(self._before(place, self.sizes[place]), starts_in_s=starts_in_s)

    def behind(self, job_id: UUID, size: Size) -> Ahead | None:
        """Say what starts before a job that waits behind a given one, in the same queue, further than was looked."""
        place = self.places.get(job_id)
        if place is None:
            return None
        before = self._before(place + 1, size)
        return Ahead(before.count, before.work, at_least=True)

    def _before(self, place: int, size: Size) -> Ahead:
        work: dict[Size, tuple[int, float]] = {}
        for other in SIZES:
            count = self.counts[other][place]
            seconds = self.work_s if SIZES.index(other) <= SIZES.index(size) else self.turns_s
            if count:
                work[other] = (count, seconds[other][place])
        return Ahead(place, work)


@dataclass(frozen=True)
class Played:
    """Waiting jobs in the order of their start, and after how many seconds those start that find a slot."""

    started: Sequence[Waiting]
    starts_in_s: Sequence[float]


def play(
    scheduler: Scheduler,
    runway: Sequence[Waiting],
    held: Iterable[Held],
    quota: Mapping[Size, int],
    closed: Iterable[Lane] = (),
    coming: Coming | None = None,
) -> Played:
    """Let the scheduler release all that it was shown, as slots become free, and tell when each job starts.

    What is on the `runway` comes first. `closed` lanes release nothing and come last, as does what has no slot at all
    and what the scheduler holds back. Those that are `coming` join in their order while others wait. The scheduler is
    used up by it.
    """
    supposed = frozenset(one.as_waiting.job_id for one in coming.newcomers) if coming else frozenset()
    come, waiting = (deque(coming.newcomers), coming.waiting) if coming else (deque(), _ENDLESS)
    ends = [(one.for_s, number, one.size, one.customer_id) for number, one in enumerate(held)]
    heapify(ends)
    running = Counter(one[2] for one in ends) + Counter(one.lane.size for one in runway)
    number, started, starts_in_s = len(ends), list(runway), [0.0] * len(runway)
    for one in runway:
        number += 1
        heappush(ends, (one.first_s, number, one.lane.size, one.customer_id))
    bounds, now = dict.fromkeys(closed, 0), 0.0
    while True:
        released = scheduler.release(left_of(quota, running), bounds)
        for one in released:
            number += 1
            running[one.lane.size] += 1
            heappush(ends, (now + one.first_s, number, one.lane.size, one.customer_id))
        started += released
        starts_in_s += [now] * len(released)
        waiting -= sum(one.job_id not in supposed for one in released)
        if not ends or waiting <= 0:
            break
        if come and come[0].in_s < ends[0][0]:
            now, one = come.popleft()
            _join(scheduler, one)
            continue
        now, _, size, customer_id = heappop(ends)
        running[size] -= 1
        scheduler.ended(customer_id)
    scheduler.hold({})
    return Played(started + scheduler.release(dict.fromkeys(SIZES, _ENDLESS)), starts_in_s)


def _join(scheduler: Scheduler, newcomer: Waiting) -> None:
    waiting = [*scheduler.first_of(newcomer.queue), newcomer]
    scheduler.show(newcomer.queue, sorted(waiting, key=due_of))


def line_of(
    started: Sequence[Waiting], work_s: Mapping[UUID, float], quantum_s: float, starts_in_s: Sequence[float] = ()
) -> Line:
    """Add up a line; `work_s` is the predicted work of each job, which gives way to smaller after `quantum_s`."""
    counts: dict[Size, list[int]] = {size: [0] for size in SIZES}
    whole: dict[Size, list[float]] = {size: [0.0] for size in SIZES}
    turns: dict[Size, list[float]] = {size: [0.0] for size in SIZES}
    for one in started:
        for size in SIZES:
            own = size is one.lane.size
            counts[size].append(counts[size][-1] + own)
            whole[size].append(whole[size][-1] + (work_s.get(one.job_id, one.first_s) if own else 0.0))
            turns[size].append(turns[size][-1] + (min(one.first_s, quantum_s) if own else 0.0))
    places = {one.job_id: place for place, one in enumerate(started)}
    return Line(places, counts, whole, turns, [one.lane.size for one in started], starts_in_s)
