"""What admission says comes true when the real scheduler serves what waits: the wait, and the time to come back."""

from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.customers.model import Allotment
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import LANES, SIZES, Lane, Policy, Queue, Scheduler, Tally, Waiting
from invoicing.lanes.model.admission import Admitted, Applicant, Outlook, Refused

SMALL = Lane(Priority.NORMAL, Size.SMALL)

names = st.sampled_from(["acme", "other", "third", "fourth", "fifth"])


def who(name: str) -> UUID:
    return uuid5(UUID(int=0), name)


class Fleet:
    """The real scheduler with a few slots: jobs of one length each, begun and ended in virtual time."""

    def __init__(self, slots: int, weight: Mapping[str, float]) -> None:
        self.now, self.slots = 0.0, slots
        self._scheduler = Scheduler(Policy())
        for name, share in weight.items():
            self._scheduler.weigh(who(name), share)
        self._ends: list[tuple[float, int]] = []
        self._ids = count()
        self._queues: dict[Queue, list[Waiting]] = {}
        self.started: dict[UUID, float] = {}

    def submit(self, name: str, lane: Lane, seconds: float) -> UUID:
        job = UUID(int=next(self._ids))
        due = self.now + Policy().delays_s[lane.priority][lane.size]
        waiting = Waiting(job, 1, who(name), who(name), lane, due, seconds)
        self._queues.setdefault(waiting.queue, []).append(waiting)
        return job

    def run(self, until: float | None = None) -> None:
        """Go on until a moment, or until nothing waits."""
        self._begin()
        while self._ends and (until is None or self._ends[0][0] <= until):
            self.now, _ = heappop(self._ends)
            self._begin()
        self.now = self.now if until is None else until

    def backlog(self) -> dict[UUID, dict[Lane, Tally]]:
        found: dict[UUID, dict[Lane, Tally]] = {}
        for queue, jobs in self._queues.items():
            if jobs:
                tally = Tally(queue.customer_id, queue.lane, len(jobs), sum(job.first_s for job in jobs))
                found.setdefault(queue.customer_id, {})[queue.lane] = tally
        return found

    def _begin(self) -> None:
        while len(self._ends) < self.slots:
            for queue, jobs in self._queues.items():
                self._scheduler.show(queue, jobs[:1])
            taken = self._scheduler.release(dict.fromkeys(SIZES, 1))
            if not taken:
                return
            for job in taken:
                self._queues[job.queue].remove(job)
                self.started[job.job_id] = self.now
                heappush(self._ends, (self.now + job.first_s, next(self._ids)))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(names, st.tuples(st.integers(1, 60), st.sampled_from([0.25, 0.5, 1.0])), min_size=1),
    st.dictionaries(names, st.sampled_from([0.5, 1.0, 2.0]), max_size=5),
    names,
    st.integers(1, 4),
)
def test_the_wait_is_the_one_that_the_scheduler_then_gives(
    load: dict[str, tuple[int, float]], weight: dict[str, float], name: str, slots: int
) -> None:
    fleet = Fleet(slots, weight)
    for customer, (jobs, seconds) in load.items():
        for _ in range(jobs):
            fleet.submit(customer, SMALL, seconds)
    allotted = {who(one): Allotment(weight=share) for one, share in weight.items()}
    view = Outlook(fleet.backlog(), dict.fromkeys(LANES, slots), allotted)
    predicted = view.admit(Applicant(who(name), SMALL, 0.5, 1e9)).predicted_s
    job = fleet.submit(name, SMALL, 0.5)
    fleet.run()
    # fair to within a turn of each: jobs of up to a second are not served in parts, and virtual time is rounded to them
    turns = len({*load, name}) * max(weight.values(), default=1.0) / min([*weight.values(), 1.0])
    assert fleet.started[job] == pytest.approx(predicted, abs=(turns + 1.0) / slots + 1.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(20, 300), st.sampled_from(list(Priority)), st.integers(0, 2))
def test_who_comes_back_when_told_is_taken_in_and_a_little_earlier_is_not(
    slots: int, jobs: int, priority: Priority, others: int
) -> None:
    fleet, lane = Fleet(slots, {}), Lane(priority, Size.SMALL)
    for _ in range(jobs):
        for name in ("acme", "other", "third")[: others + 1]:
            fleet.submit(name, lane, 1.0)
    job = Applicant(who("acme"), lane, 1.0, promise_s=5.0)

    def ask() -> Admitted | Refused:
        return Outlook(fleet.backlog(), dict.fromkeys(LANES, slots)).admit(job)

    refused = ask()
    if isinstance(refused, Admitted):
        return
    told, turn = refused.retry_after_s, 2.0 + others  # what waits is counted in whole jobs, not in what is left of them
    if told > 2 * turn:
        fleet.run(told - turn)
        assert isinstance(ask(), Refused)
    fleet.run(told + turn)
    assert isinstance(ask(), Admitted)
