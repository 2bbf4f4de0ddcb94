"""The line that people are told is the order in which the scheduler lets jobs start."""

from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, Lane, Scheduler, Waiting, quotas
from invoicing.lanes.model.line import Held, Line, line_of, play

SMALL, LARGE = Lane(Priority.NORMAL, Size.SMALL), Lane(Priority.NORMAL, Size.LARGE)
ONE, TWO, KEY = UUID(int=1), UUID(int=2), UUID(int=3)


def job(number: int, customer: UUID = ONE, lane: Lane = SMALL, first_s: float = 0.5) -> Waiting:
    return Waiting(UUID(int=number), 1, customer, KEY, lane, float(number), first_s)


def scheduler(*jobs: Waiting) -> Scheduler:
    made = Scheduler(POLICY)
    for one in jobs:
        made.show(one.queue, [other for other in jobs if other.queue == one.queue])
    return made


def started(made: Scheduler, held: tuple[Held, ...] = (), slots: int = 2, closed: tuple[Lane, ...] = ()) -> list[int]:
    return [one.job_id.int for one in play(made, [], held, quotas(slots), closed).started]


def test_every_job_has_its_place_and_customers_take_turns() -> None:
    order = started(scheduler(*(job(number) for number in range(10, 20)), job(90, TWO), job(91, TWO)))
    assert sorted(order) == [*range(10, 20), 90, 91]
    assert order.index(91) < 5


def test_large_work_without_a_slot_of_its_class_does_not_stand_in_front_of_small() -> None:
    held = tuple(Held(Size.LARGE, TWO, 30.0) for _ in range(quotas(8)[Size.LARGE]))
    made = scheduler(job(10, TWO, LARGE, 30.0), *(job(number) for number in range(20, 30)))
    assert started(made, held, slots=8) == [*range(20, 30), 10]


def test_what_is_on_the_runway_comes_first_and_a_paused_lane_last() -> None:
    made = scheduler(job(10, lane=LARGE), job(20), job(21))
    order = play(made, [job(99, TWO)], [], quotas(2), [SMALL]).started
    assert [one.job_id.int for one in order] == [99, 10, 20, 21]


def test_a_customers_limit_lets_others_go_first() -> None:
    made = scheduler(job(10), job(11), job(12), *(job(number, TWO) for number in range(20, 26)))
    made.limit(ONE, 1)
    order = started(made, slots=8)
    assert order.index(11) > order.index(23)
    assert sorted(order) == [10, 11, 12, *range(20, 26)]


def line() -> Line:
    order = [job(10, lane=LARGE, first_s=30.0), job(20), job(21), job(30, lane=LARGE, first_s=30.0)]
    return line_of(order, {UUID(int=10): 100.0, UUID(int=20): 0.4, UUID(int=21): 0.6, UUID(int=30): 50.0}, 1.0)


def test_of_larger_work_ahead_only_what_it_does_before_it_gives_way_counts() -> None:
    small, large = line().ahead(UUID(int=21)), line().ahead(UUID(int=30))
    assert small is not None
    assert large is not None
    assert (small.count, small.work) == (2, {Size.SMALL: (1, 0.4), Size.LARGE: (1, 1.0)})
    assert (large.count, round(large.work_s, 6)) == (3, 101.0)


def test_a_job_behind_what_was_looked_at_is_behind_at_least_that() -> None:
    behind = line().behind(UUID(int=30), Size.LARGE)
    assert behind is not None
    assert (behind.count, behind.at_least) == (4, True)
    assert line().ahead(UUID(int=77)) is None
    assert line().behind(UUID(int=77), Size.SMALL) is None
