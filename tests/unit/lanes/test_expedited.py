"""What our staff expedite starts next, whoever was served how much, and never takes a slot that its class may not."""

from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, Lane, Running, Scheduler, Waiting, left_of, quotas

SMALL, LARGE = Lane(Priority.NORMAL, Size.SMALL), Lane(Priority.BULK, Size.LARGE)
NOISY, QUIET, KEY = UUID(int=1), UUID(int=2), UUID(int=3)


def job(number: int, customer: UUID = NOISY, lane: Lane = SMALL, *, expedited: bool = False) -> Waiting:
    return Waiting(UUID(int=number), 1, customer, KEY, lane, float(number), 0.5, expedited)


def scheduler(*jobs: Waiting) -> Scheduler:
    """Let jobs wait whose first customer has had far more than its part."""
    made = Scheduler(POLICY)
    for one in jobs:
        made.show(one.queue, [other for other in jobs if other.queue == one.queue])
    made.charge(NOISY, KEY, 1_000)
    return made


def released(made: Scheduler, **running: int) -> list[int]:
    left = left_of(quotas(8), {Size(size): count for size, count in running.items()})
    return [one.job_id.int for one in made.release(left)]


def test_an_expedited_job_of_an_over_served_customer_starts_next() -> None:
    assert released(scheduler(job(10), job(20, QUIET))) == [20, 10]
    assert released(scheduler(job(10, expedited=True), job(20, QUIET))) == [10, 20]


def test_it_is_charged_all_the_same() -> None:
    made = scheduler(job(10, expedited=True), job(20, QUIET))
    before = made.counters()[NOISY]
    assert [one.job_id.int for one in made.release(dict.fromkeys(Size, 1))] == [10]
    assert made.counters()[NOISY] == before + 0.5


def test_it_takes_no_slot_that_its_class_may_not_have_and_holds_nobody_up() -> None:
    made = scheduler(job(10, lane=LARGE, expedited=True), job(20, QUIET))
    assert released(made, large=6) == [20]
    assert released(made, large=5) == [10]


def test_a_customers_cap_and_a_pause_hold_it_too() -> None:
    made = scheduler(job(10, expedited=True), job(20, QUIET))
    made.limit(NOISY, 1)
    made.runs(NOISY, 1)
    assert released(made) == [20]
    paused = scheduler(job(10, expedited=True), job(20, QUIET))
    assert paused.release(left_of(quotas(8), {}), {SMALL: 0}) == []


def test_looking_ahead_takes_nothing() -> None:
    made = scheduler(job(10, expedited=True), job(20, QUIET))
    assert [one.job_id.int for one in made.blocked(1)] == [10]
    assert released(made) == [10, 20]


def test_work_that_runs_gives_way_to_it() -> None:
    made = scheduler(job(10, expedited=True))
    theirs = Running(UUID(int=9), 1, QUIET, KEY, LARGE, 5.0, 0.0)
    assert made.entitled(job(10, expedited=True), theirs)


def test_once_it_no_longer_waits_it_is_forgotten() -> None:
    first = job(10, expedited=True)
    made = scheduler(first, job(20, QUIET))
    made.show(first.queue, [])
    assert released(made) == [20]
