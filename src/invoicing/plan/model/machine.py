"""A simulated worker: attempts that share its cores, and what of theirs happens next.

As many cores as slots. While no more attempts run than there are cores, each has one to itself. Beyond (the spare slot,
work that was set aside), cores are shared as Linux shares them: by weights of 1024 / 1.25^nice, nobody more than one.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from invoicing.jobs.model import Size
from invoicing.lanes.model import SIZES, Lane, Left, Policy, Running, fits, left_of, quotas
from invoicing.plan.model.work import Ended, Work

WEIGHTS: Mapping[Size, float] = {Size.SMALL: 1024.0, Size.MEDIUM: 335.0, Size.LARGE: 110.0, Size.HUGE: 36.0}
"""Weight of a child with the operating system: nice 0, 5, 10 and 15."""

ASIDE = 36.0
"""Weight of work that was set aside: as huge."""

ASIDE_PER_SLOT = 2
"""How many attempts a worker sets aside at most, for each slot: they hold memory."""

STAYS_ASIDE_S = 0.5
"""So long a slot is left to those for whom it was freed."""

_NOTHING = 1e-9
"""Work that is no more than rounding (seconds)."""


@dataclass(eq=False, slots=True)
class Task:
    """A job on its way."""

    number: int
    id: UUID
    work: Work
    customer_id: UUID
    key_id: UUID
    lane: Lane
    order_at: float
    predicted_s: float
    done_s: float = 0.0
    """Work that is done, and would not be lost."""
    attempt: int = 1
    started_s: float | None = None
    finished_s: float | None = None
    parked: int = 0
    refused: bool = False
    retry_after_s: int | None = None
    taken_in_after_s: float | None = None

    def ended(self) -> Ended:
        """Tell how it fared."""
        refusal = self.refused, self.retry_after_s, self.taken_in_after_s
        return Ended(self.work, self.started_s, self.finished_s, self.parked, *refusal)


@dataclass(eq=False, slots=True)
class Run:
    """An attempt under way."""

    task: Task
    worker: "Machine"
    since: float
    mark: float
    """When `task.done_s` was true."""
    rate: float = 0.0
    charged_s: float = 0.0
    used_s: float = 0.0
    noted_s: float = 0.0
    asked: bool = False
    aside: bool = False
    """Set aside: it holds no slot any more."""
    aside_at: float = 0.0
    """Since when, the last time."""
    back_at: float | None = None
    """When it was last given a slot again."""
    frozen: bool = False
    target_s: float = 0.0
    """At which work something happens next."""
    at_s: float = math.inf
    """When that is."""
    seen: Running | None = None

    def as_running(self) -> Running:
        """Show it to the policy."""
        if self.seen is None:
            task = self.task
            self.seen = Running(
                task.id, task.attempt, task.customer_id, task.key_id, task.lane, task.order_at, self.since
            )
        return self.seen

    def advance(self, now: float) -> None:
        """Count what was done since."""
        did = (now - self.mark) * self.rate
        self.task.done_s += did
        self.used_s += did
        self.mark = now

    def expect(self, now: float, policy: Policy) -> None:
        """Work out what happens next: its end, the limit of its class, or the checkpoint where it stops."""
        self.advance(now)
        task = self.task
        target = task.work.size_s
        limit = policy.cutoffs.limit(task.lane.size)
        if limit is not None and task.done_s < limit - _NOTHING:
            target = min(target, limit)
        if self.asked and task.work.checkpoints:
            target = min(target, next_checkpoint(task))
        self.target_s = target
        self.at_s = now + max(0.0, target - task.done_s) / self.rate if self.rate > 0 else math.inf


def set_aside_at(run: Run, asked_at: float, quantum_s: float) -> float:
    """When work that was asked to give way is set aside: a quantum after it was asked, or after it last came back."""
    return asked_at + quantum_s if run.back_at is None else max(asked_at, run.back_at + quantum_s)


def checkpoint_every(work: Work) -> float:
    """How much work lies between two checkpoints (seconds)."""
    return work.size_s / (work.checkpoints + 1)


def next_checkpoint(task: Task) -> float:
    """At which work a job can stop: where it stands, if that is a checkpoint."""
    every = checkpoint_every(task.work)
    return max(1, math.ceil(task.done_s / every - 1e-6)) * every


def last_checkpoint(task: Task) -> float:
    """From which work a job goes on after its worker died."""
    every = checkpoint_every(task.work)
    return math.floor(task.done_s / every + 1e-6) * every


@dataclass(eq=False, slots=True)
class Machine:
    """A worker."""

    slots: int
    quota: Mapping[Size, int]
    counts: dict[Size, int] = field(default_factory=lambda: dict.fromkeys(SIZES, 0))
    """How many of each class hold a slot."""
    runs: list[Run] = field(default_factory=list)
    alive: bool = True
    asides: int = 0
    frozen: int = 0
    crowded: bool = False
    next_s: float = math.inf
    """When something is expected to happen in one of its attempts."""
    _left: Left | None = None

    def left(self) -> Left:
        """How many more of each class or larger may start."""
        if self._left is None:
            self._left = left_of(self.quota, self.counts) if self.alive else dict.fromkeys(SIZES, 0)
        return self._left

    def active(self) -> int:
        """How many cores are busy."""
        return min(self.slots, len(self.runs) - self.frozen)

    def lives(self, *, alive: bool) -> None:
        """Die, or serve again."""
        self.alive = alive
        self._left = None

    def _count(self, size: Size, by: int) -> None:
        self.counts[size] += by
        self._left = None

    def start(self, task: Task, now: float) -> Run:
        """Begin an attempt."""
        run = Run(task, self, now, now)
        self.runs.append(run)
        self._count(task.lane.size, +1)
        return run

    def end(self, run: Run) -> None:
        """End an attempt."""
        self.runs.remove(run)
        if run.aside:
            self.asides -= 1
            self.frozen -= run.frozen
        else:
            self._count(run.task.lane.size, -1)

    def outgrow(self, run: Run, lane: Lane) -> None:
        """Count an attempt with another class."""
        if not run.aside:
            self._count(run.task.lane.size, -1)
            self._count(lane.size, +1)
        run.task.lane = lane
        run.seen = None

    def set_aside(self, run: Run, now: float, *, freeze: bool) -> None:
        """Give an attempt's slot back; it goes on at the lowest weight, or not at all."""
        run.aside, run.aside_at, run.frozen = True, now, freeze
        self.asides += 1
        self.frozen += freeze
        self._count(run.task.lane.size, -1)

    def take_back(self, run: Run, now: float) -> None:
        """Give an attempt that was set aside a slot again."""
        self.frozen -= run.frozen
        run.aside = run.frozen = run.asked = False
        run.since, run.back_at, run.seen = now, now, None
        self.asides -= 1
        self._count(run.task.lane.size, +1)

    @property
    def may_set_aside(self) -> bool:
        """Whether there is memory for one more that is set aside."""
        return self.asides < ASIDE_PER_SLOT * self.slots

    def sizes_aside(self) -> list[Size]:
        """List the classes of what is set aside, the smallest first."""
        return sorted({run.task.lane.size for run in self.runs if run.aside}, key=SIZES.index) if self.asides else []

    def come_back(self, size: Size, now: float) -> list[Run]:
        """Give those of a class slots again that were set aside, the longest waiting first, as far as there are any."""
        aside = sorted((run for run in self.runs if run.aside), key=lambda run: run.aside_at)
        if not aside or now < aside[-1].aside_at + STAYS_ASIDE_S:
            return []
        back = []
        for run in aside:
            if run.task.lane.size is size and fits(self.left(), size):
                self.take_back(run, now)
                back.append(run)
        return back

    def changed(self, now: float) -> Iterator[Run]:
        """Share the cores out; gives the attempts that are faster or slower than before."""
        crowded = len(self.runs) > self.slots or self.asides > 0
        if not crowded and not self.crowded:
            for run in self.runs[-1:]:
                yield from _paced(run, 1.0, now)
            return
        self.crowded = crowded
        for run, rate in zip(self.runs, self._rates(), strict=True):
            yield from _paced(run, rate, now)

    def _rates(self) -> list[float]:
        weights = [0.0 if run.frozen else ASIDE if run.aside else WEIGHTS[run.task.lane.size] for run in self.runs]
        rates = [0.0] * len(weights)
        cores, total = float(self.slots), sum(weights)
        for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
            if weights[place] > 0:
                rates[place] = min(1.0, cores * weights[place] / total)
                cores -= rates[place]
                total -= weights[place]
        return rates


def _paced(run: Run, rate: float, now: float) -> Iterator[Run]:
    if run.rate != rate:
        run.advance(now)
        run.rate = rate
        yield run


def machine(slots: int, policy: Policy) -> Machine:
    """Set a worker up."""
    return Machine(slots, quotas(slots, policy))
