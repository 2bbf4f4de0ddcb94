"""Admission in a simulation: the service's own rules, with what a web process knows; and whether they told the truth.

What waits and who works is as of the last second, as a web process reads it; a customer's own work is as of now. Some
of those that are refused are followed: it is looked every second whether the same job would be taken in by then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from invoicing.customers.model import Allotment
from invoicing.jobs.model import Size
from invoicing.lanes.model import LANES, Lane, Policy, Tally
from invoicing.lanes.model.admission import Applicant, Outlook, Own, Refused
from invoicing.plan.model.backlog import Tallies
from invoicing.plan.model.machine import Task
from invoicing.plan.model.work import Fleet

READ_EVERY_S = 1.0

FOLLOWED = 100
"""How many refused jobs are followed at a time: enough to judge by, and the cost stays small."""

USUAL_PROMISE_S: Mapping[Size, float] = MappingProxyType(
    {Size.SMALL: 300.0, Size.MEDIUM: 900.0, Size.LARGE: 3_600.0, Size.HUGE: 28_800.0}
)
"""What a kind of job promises that says nothing else."""


@dataclass(frozen=True)
class Admission:
    """By which promises jobs are taken in that bring none of their own."""

    promise_s: Mapping[Size, float] = field(default_factory=lambda: USUAL_PROMISE_S)


class Doorkeeper:
    """Takes jobs in or refuses them, and follows some of those that it refused."""

    def __init__(self, admission: Admission, fleet: Fleet, policy: Policy) -> None:
        """Know nothing yet: the first reading comes before the first job."""
        self._promise_s = admission.promise_s
        self._fleet = fleet
        self._policy = policy
        self._allotments: dict[UUID, Allotment] = {}
        self._outlook = Outlook(policy=policy)
        self._followed: list[tuple[Task, Applicant, float]] = []
        self.reads_at = 0.0
        """When it wants to be shown what waits the next time."""

    def read(self, now: float, tallies: Tallies, room: Mapping[Size, int]) -> None:
        """Learn what waits and how many slots each class may use; see who of the refused would be taken in now."""
        self.reads_at = now + READ_EVERY_S
        backlog = {customer: _tallies(customer, lanes) for customer, lanes in tallies.items()}
        slots = {lane: room[lane.size] for lane in LANES}
        self._outlook = Outlook(backlog, slots, self._allotments, self._policy)
        self._followed = [one for one in self._followed if not self._would_be_taken_in(*one, now)]

    def admit(self, task: Task, now: float, tallies: Tallies) -> None:
        """Take a job in, or refuse it until a time."""
        self._allot(task)
        promise_s = task.work.promise_s or self._promise_s[task.lane.size]
        applicant = Applicant(task.customer_id, task.lane, task.predicted_s, promise_s)
        own = Own(_tallies(task.customer_id, tallies.get(task.customer_id, {})))
        decided = self._outlook.admit(applicant, own)
        if isinstance(decided, Refused):
            task.refused, task.retry_after_s = True, decided.retry_after_s
            if len(self._followed) < FOLLOWED:
                self._followed.append((task, applicant, now))

    def close(self, now: float) -> None:
        """Nothing waits any more: who is followed still would be taken in."""
        for task, _, refused_at in self._followed:
            task.taken_in_after_s = now - refused_at
        self._followed = []

    @property
    def follows(self) -> bool:
        """Whether it is yet to be seen when somebody would be taken in."""
        return bool(self._followed)

    def _would_be_taken_in(self, task: Task, applicant: Applicant, refused_at: float, now: float) -> bool:
        if isinstance(self._outlook.admit(applicant), Refused):
            return False
        task.taken_in_after_s = now - refused_at
        return True

    def _allot(self, task: Task) -> None:
        name = task.work.customer
        if name in self._fleet.weights or name in self._fleet.caps:
            weight, most = self._fleet.weights.get(name, 1.0), self._fleet.caps.get(name)
            self._allotments[task.customer_id] = Allotment(weight, most)


def _tallies(customer: UUID, lanes: Mapping[Lane, tuple[int, float]]) -> dict[Lane, Tally]:
    return {lane: Tally(customer, lane, count, work_s) for lane, (count, work_s) in lanes.items() if count}
