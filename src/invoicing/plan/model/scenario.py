"""A load, a fleet and a policy, simulated as often as asked, and how well promises are kept there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from invoicing.jobs.model import Size
from invoicing.lanes.model import Policy
from invoicing.plan.model.door import Admission
from invoicing.plan.model.report import Report, ended_within, report
from invoicing.plan.model.simulation import simulate
from invoicing.plan.model.work import Fleet, Outcome, Work

Jobs = Callable[[int], Sequence[Work]]
"""Makes the jobs of a run, given its number from 0."""

Simulations = Callable[[Sequence[Sequence[Work]], Fleet, Policy, Admission | None], Sequence[Outcome]]
"""Simulates several loads on one fleet."""

KEPT_FOR = 0.99
"""A promise is kept when it is for so large a share of the jobs."""


def in_turn(
    loads: Sequence[Sequence[Work]], fleet: Fleet, policy: Policy, admission: Admission | None
) -> Sequence[Outcome]:
    """Simulate one after the other."""
    return [simulate(jobs, fleet, policy, admission=admission) for jobs in loads]


@dataclass(frozen=True)
class Promise:
    """Jobs of a class are to end within a time of their acceptance."""

    size: Size
    within_s: float


@dataclass(frozen=True)
class Kept:
    """How well a promise is kept."""

    promise: Promise
    share: float
    """Of the jobs of that class; one that is refused counts as one whose promise was broken."""
    jobs: int

    @property
    def is_kept(self) -> bool:
        """For 99 of 100 at least; nothing is promised to nobody."""
        return self.share >= KEPT_FOR


@dataclass(frozen=True)
class Scenario:
    """A load, a fleet and a policy; simulated once for every run, and no more often than that."""

    jobs: Jobs
    fleet: Fleet
    policy: Policy
    runs: int
    simulations: Simulations = in_turn
    admission: Admission | None = None
    """By which promises jobs are refused; None: all are taken in."""

    @cached_property
    def outcomes(self) -> Sequence[Outcome]:
        """What became of it, run by run."""
        return self.simulations([self.jobs(run) for run in range(self.runs)], self.fleet, self.policy, self.admission)

    def report(self) -> Report:
        """Add it up."""
        return report(self.outcomes, self.fleet, self.policy)

    def kept(self, promise: Promise) -> Kept:
        """Judge a promise."""
        took = ended_within(self.outcomes, self.policy.cutoffs, promise.size)
        within = sum(time <= promise.within_s for time in took)
        return Kept(promise, within / len(took) if took else 1.0, len(took))
