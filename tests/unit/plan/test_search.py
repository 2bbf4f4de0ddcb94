"""The fewest slots are found by trying, and fewer would not do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY
from invoicing.plan.model.answer import Asked, answer
from invoicing.plan.model.scenario import Promise, Scenario
from invoicing.plan.model.search import fewest, fewest_slots, spread_over
from invoicing.plan.model.work import Death, Fleet, Work
from invoicing.plan.parallel import on_cores

SOON = Promise(Size.SMALL, 2.5)


def at_once(count: int, size_s: float = 1.0) -> list[Work]:
    return [
        Work(0.0, f"customer {number}", f"key {number}", Priority.NORMAL, size_s, size_s, 0) for number in range(count)
    ]


def scenario(jobs: list[Work], fleet: Fleet = Fleet((4,)), runs: int = 1) -> Scenario:  # noqa: B008 - a frozen value
    return Scenario(lambda _run: jobs, fleet, POLICY, runs)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 300))
def test_the_smallest_number_is_found_wherever_the_search_begins(needed: int, first: int, most: int) -> None:
    tried: list[int] = []

    def kept(slots: int) -> bool:
        tried.append(slots)
        return slots >= needed

    assert fewest(kept, first, most) == (needed if needed <= most else None)
    assert len(tried) == len(set(tried)) <= 20
    assert max(tried) <= most


def test_as_many_slots_as_it_takes_and_no_more() -> None:
    found = fewest_slots(scenario(at_once(24)), [SOON])
    assert found is not None
    # 11 slots and the spare one run 12 at a time at 11/12 of their speed: two rounds take 2.2 s
    assert found.slots == 11
    assert all(one.is_kept for one in found.kept)
    again = Scenario(lambda _run: at_once(24), Fleet((found.slots - 1,)), found.policy, 1)
    assert not again.kept(SOON).is_kept


def test_a_promise_that_is_shorter_than_the_work_is_kept_by_no_number_of_slots() -> None:
    assert fewest_slots(scenario(at_once(4)), [Promise(Size.SMALL, 0.5)], most=16) is None


def test_what_one_run_finds_is_confirmed_in_all_of_them() -> None:
    def jobs(run: int) -> list[Work]:
        return at_once(8 if run == 0 else 24)

    one = fewest_slots(Scenario(jobs, Fleet((4,)), POLICY, 1), [SOON])
    both = fewest_slots(Scenario(jobs, Fleet((4,)), POLICY, 2), [SOON])
    assert one is not None
    assert both is not None
    assert one.slots == 4
    assert both.slots == 11


def test_another_reserve_is_tried_where_fewer_slots_do_with_it() -> None:
    jobs = [Work(0.0, "acme", "key", Priority.NORMAL, 1000.0, 1000.0, 0) for _ in range(8)]
    found = fewest_slots(scenario(jobs, Fleet((8,))), [Promise(Size.HUGE, 1000.0)])
    assert found is not None
    assert found.slots == 8
    assert found.policy.reserve[Size.HUGE] == 0.0


def test_slots_are_shared_out_evenly() -> None:
    assert spread_over(7, 3) == (3, 2, 2)
    assert spread_over(2, 3) == (1, 1)


def test_a_dying_worker_stays_in_the_question_while_there_is_such_a_worker() -> None:
    fleet = Fleet((4, 4), (Death(1, 0.5, None, 1.0),))
    found = fewest_slots(scenario(at_once(8), fleet), [Promise(Size.SMALL, 4.0)])
    alone = fewest_slots(scenario(at_once(8), Fleet((4, 4))), [Promise(Size.SMALL, 4.0)])
    assert found is not None
    assert alone is not None
    assert found.slots >= alone.slots


def test_without_a_promise_nothing_is_searched() -> None:
    found = answer([Asked("today", (), scenario(at_once(4)))], [], 8)
    assert found.fewest is None
    assert found.told[0].kept == ()


def test_runs_on_several_cores_give_what_runs_in_turn_give() -> None:
    def jobs(run: int) -> list[Work]:
        return at_once(10 + run)

    with on_cores(3) as simulations:
        together = Scenario(jobs, Fleet((2,)), POLICY, 3, simulations).outcomes
    assert list(together) == list(Scenario(jobs, Fleet((2,)), POLICY, 3).outcomes)
    assert [len(outcome.jobs) for outcome in together] == [10, 11, 12]


@pytest.mark.parametrize("runs", [1, 4])
def test_every_run_is_simulated_once(runs: int) -> None:
    asked: list[int] = []

    def jobs(run: int) -> list[Work]:
        asked.append(run)
        return at_once(4)

    one = Scenario(jobs, Fleet((4,)), POLICY, runs)
    one.report()
    one.kept(SOON)
    assert asked == list(range(runs))
