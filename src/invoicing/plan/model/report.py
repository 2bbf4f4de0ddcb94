"""What a simulation showed: waiting, slowdown and the promise that could be kept, by class and priority."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import SIZES, Cutoffs, Policy, quotas
from invoicing.plan.model.ladder import P99_NEEDS, promisable, quantile
from invoicing.plan.model.work import Ended, Fleet, Moment, Outcome


@dataclass(frozen=True)
class Waits:
    """How long jobs waited for their first start (seconds; infinite: for ever)."""

    p50: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True)
class Row:
    """How the jobs of a class fared, or those of one priority in it; the class is the one they really were of."""

    size: Size
    priority: Priority | None
    jobs: int
    """In all runs."""
    wait: Waits
    p99_between: tuple[float, float]
    """The least and the largest of the runs' own 99 % waits."""
    slowdown_p99: float
    """End after arrival, divided by the work itself."""
    ended_p99: float
    """From arrival to end (seconds)."""
    refused: int
    few: bool
    """Too few jobs for a 99 % quantile to mean something."""

    @property
    def promise_s(self) -> float:
        """The promise that is kept for 99 of 100: a readable time, infinite where none can be."""
        return promisable(self.ended_p99) if math.isfinite(self.ended_p99) else math.inf


@dataclass(frozen=True)
class Refusals:
    """What admission told the jobs of a priority that it did not take in (seconds; 0 where none were refused)."""

    priority: Priority
    jobs: int
    """In all runs."""
    refused: int
    retry_after_p50: float
    retry_after_p90: float
    followed: int
    """Of how many it is known when they would have been taken in."""
    off_p50: float
    """Between the time they were told to come again after and the time after which they would have been taken in."""
    off_p90: float


@dataclass(frozen=True)
class Report:
    """What became of a load on a fleet under a policy, in all runs together."""

    slots: tuple[int, ...]
    """Of each worker."""
    quotas: Mapping[Size, int]
    """How many slots of the fleet jobs of a class or larger may take."""
    cutoffs: Cutoffs
    jobs: int
    """In all runs."""
    runs: int
    never: int
    """Jobs that never ended, having been taken in."""
    work_s: float
    """Work that was done in all runs (seconds)."""
    lasted_s: float
    """How long the longest run lasted, until its last job had ended."""
    used: float
    """Share of the slot time on which work was done."""
    idle_while_waiting: float
    """Share of the slot time in which a slot was idle although a job waited."""
    rows: tuple[Row, ...]
    """First those of a whole class, each followed by its priorities where it has several."""
    course: tuple[Moment, ...]
    """How things stood over the time, in the first run."""
    refusals: tuple[Refusals, ...]
    """For each priority of which jobs were refused."""

    def row(self, size: Size) -> Row | None:
        """Give the row of a whole class."""
        return next((row for row in self.rows if row.size is size and row.priority is None), None)


def report(outcomes: Sequence[Outcome], fleet: Fleet, policy: Policy) -> Report:
    """Add up what the runs of one scenario showed."""
    runs = [_sorted_out(outcome.jobs, policy.cutoffs) for outcome in outcomes]
    offered = sum(outcome.slots_s for outcome in outcomes)
    work_s = math.fsum(sum(outcome.served_s.values()) for outcome in outcomes)
    return Report(
        slots=fleet.workers,
        quotas={size: sum(quotas(slots, policy)[size] for slots in fleet.workers) for size in SIZES},
        cutoffs=policy.cutoffs,
        jobs=sum(len(outcome.jobs) for outcome in outcomes),
        runs=len(outcomes),
        never=sum(one.finished_s is None and not one.refused for outcome in outcomes for one in outcome.jobs),
        work_s=work_s,
        lasted_s=max((outcome.lasted_s for outcome in outcomes), default=0.0),
        used=work_s / offered if offered else 0.0,
        idle_while_waiting=sum(outcome.idle_while_waiting_s for outcome in outcomes) / offered if offered else 0.0,
        rows=tuple(row for size in SIZES for row in _rows(size, [run[size] for run in runs])),
        course=outcomes[0].course if outcomes else (),
        refusals=tuple(_refusals([one for outcome in outcomes for one in outcome.jobs])),
    )


def ended_within(outcomes: Iterable[Outcome], cutoffs: Cutoffs, size: Size) -> list[float]:
    """Give how long each job of a class took from arrival to end, in order; infinite for those that never ended.

    Those that were refused never ended either: else the fewest slots would be those that refuse most.
    """
    return sorted(
        _ended_after(one) for outcome in outcomes for one in outcome.jobs if cutoffs.classify(one.work.size_s) is size
    )


def _refusals(jobs: Sequence[Ended]) -> Iterator[Refusals]:
    for priority in Priority:
        those = [one for one in jobs if one.work.priority is priority]
        told = sorted(float(one.retry_after_s) for one in those if one.retry_after_s is not None)
        off = sorted(
            abs(one.retry_after_s - one.taken_in_after_s)
            for one in those
            if one.retry_after_s is not None and one.taken_in_after_s is not None
        )
        if told:
            half, most = quantile(told, 0.5), quantile(told, 0.9)
            yield Refusals(
                priority, len(those), len(told), half, most, len(off), quantile(off, 0.5), quantile(off, 0.9)
            )


def _sorted_out(jobs: Iterable[Ended], cutoffs: Cutoffs) -> Mapping[Size, list[Ended]]:
    found: dict[Size, list[Ended]] = {size: [] for size in SIZES}
    for one in jobs:
        found[cutoffs.classify(one.work.size_s)].append(one)
    return found


def _rows(size: Size, runs: Sequence[Sequence[Ended]]) -> list[Row]:
    there = [priority for priority in Priority if any(one.work.priority is priority for run in runs for one in run)]
    if not there:
        return []
    several = there if len(there) > 1 else []
    parts = [[[one for one in run if one.work.priority is priority] for run in runs] for priority in several]
    return [_row(size, None, runs), *(_row(size, *part) for part in zip(several, parts, strict=True))]


def _row(size: Size, priority: Priority | None, runs: Sequence[Sequence[Ended]]) -> Row:
    taken = [[one for one in run if not one.refused] for run in runs]
    waits = [sorted(_waited(one) for one in run) for run in taken]
    together = sorted(wait for run in waits for wait in run)
    each = [quantile(run, 0.99) for run in waits if run] or [0.0]
    every = [one for run in taken for one in run]
    return Row(
        size=size,
        priority=priority,
        jobs=sum(map(len, runs)),
        wait=Waits(*(quantile(together, share) for share in (0.5, 0.9, 0.99, 1.0))),
        p99_between=(min(each), max(each)),
        slowdown_p99=quantile(sorted(_ended_after(one) / one.work.size_s for one in every), 0.99),
        ended_p99=quantile(sorted(map(_ended_after, every)), 0.99),
        refused=sum(one.refused for run in runs for one in run),
        few=len(every) < P99_NEEDS,
    )


def _waited(one: Ended) -> float:
    return math.inf if one.wait_s is None else max(0.0, one.wait_s)


def _ended_after(one: Ended) -> float:
    return math.inf if one.finished_s is None else one.finished_s - one.work.at_s
