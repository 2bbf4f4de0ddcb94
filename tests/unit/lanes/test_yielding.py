"""Who gives way to whom, when, and where the work that gave way waits then."""

from collections import Counter
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import (
    POLICY,
    SIZES,
    Lane,
    Running,
    Waiting,
    asked_to_give_way,
    order_after_turn,
    outgrown,
    quotas,
)

NOW = 1000.0
_numbers = count(1)


def running(size: Size, *, since: float = 0.0, priority: Priority = Priority.NORMAL, customer: int = 1) -> Running:
    who = UUID(int=customer)
    return Running(UUID(int=next(_numbers)), 1, who, who, Lane(priority, size), since, since)


def waiting(size: Size, *, order_at: float = NOW, priority: Priority = Priority.NORMAL, customer: int = 2) -> Waiting:
    who = UUID(int=customer)
    return Waiting(UUID(int=next(_numbers)), 1, who, who, Lane(priority, size), order_at, 0.3)


@pytest.mark.parametrize("ran_s", [POLICY.least_run_s - 0.01, POLICY.least_run_s])
def test_larger_work_gives_way_to_smaller_once_it_has_run_its_least(ran_s: float) -> None:
    large = running(Size.LARGE, since=NOW - ran_s)
    asked = asked_to_give_way([large], [waiting(Size.SMALL)], NOW, POLICY)
    assert asked == ([large] if ran_s >= POLICY.least_run_s else [])


@pytest.mark.parametrize(("ran_s", "gives_way"), [(29.9, False), (30.0, True)])
def test_equals_take_turns(ran_s: float, gives_way: bool) -> None:  # noqa: FBT001 - a column of the table
    large = running(Size.LARGE, since=NOW - ran_s)
    assert bool(asked_to_give_way([large], [waiting(Size.LARGE)], NOW, POLICY)) is gives_way


def test_the_more_urgent_does_not_wait_for_the_end_of_a_turn() -> None:
    large = running(Size.LARGE, since=NOW - 1.0)
    urgent = waiting(Size.LARGE, priority=Priority.URGENT)
    assert asked_to_give_way([large], [urgent], NOW, POLICY) == [large]
    bulk = waiting(Size.LARGE, priority=Priority.BULK)
    assert asked_to_give_way([large], [bulk], NOW, POLICY) == []


def test_small_work_never_gives_way_to_larger() -> None:
    assert asked_to_give_way([running(Size.SMALL)], [waiting(Size.HUGE, order_at=0.0)], NOW, POLICY) == []


def test_the_largest_gives_way_first_and_of_those_the_one_that_ran_longest() -> None:
    medium, young, old = running(Size.MEDIUM), running(Size.HUGE, since=10.0), running(Size.HUGE, since=5.0)
    one, two = waiting(Size.SMALL), waiting(Size.SMALL)
    assert asked_to_give_way([medium, young, old], [one, two], NOW, POLICY) == [old, young]


@pytest.mark.parametrize(("ran_s", "gives_way"), [(29.0, False), (30.0, True)])
def test_a_lane_that_goes_later_gets_no_more_than_a_turn(ran_s: float, gives_way: bool) -> None:  # noqa: FBT001 - a column of the table
    huge = running(Size.HUGE, priority=Priority.URGENT, since=NOW - ran_s)
    late = waiting(Size.SMALL, priority=Priority.BULK)
    assert bool(asked_to_give_way([huge], [late], NOW, POLICY)) is gives_way


def test_nobody_gives_way_to_what_would_not_be_chosen_before_it_afterwards() -> None:
    assert asked_to_give_way([running(Size.HUGE)], [waiting(Size.SMALL)], NOW, POLICY, lambda _w, _r: False) == []


@given(st.lists(st.sampled_from(SIZES), max_size=12), st.lists(st.sampled_from(SIZES), max_size=12))
def test_nobody_is_asked_twice_and_no_more_than_there_is_need(run: list[Size], wait: list[Size]) -> None:
    asked = asked_to_give_way([running(size) for size in run], [waiting(size) for size in wait], NOW, POLICY)
    assert len(asked) <= min(len(run), len(wait))
    assert len({one.job_id for one in asked}) == len(asked)


@pytest.mark.parametrize("size", SIZES)
def test_who_gave_way_waits_behind_its_equals_unless_expedited(size: Size) -> None:
    lane = Lane(Priority.NORMAL, size)
    after = order_after_turn(lane, 0.0, NOW, POLICY)
    assert after == NOW + POLICY.delays_s[Priority.NORMAL][size]
    assert order_after_turn(lane, 0.0, NOW, POLICY, expedited=True) == 0.0
    assert order_after_turn(lane, after + 5, NOW, POLICY) == after + 5


@given(st.lists(st.sampled_from(SIZES), max_size=20), st.integers(1, 12))
def test_however_many_turned_out_larger_as_many_stay_as_their_quota_allows(sizes: list[Size], slots: int) -> None:
    held = [running(size, since=float(place)) for place, size in enumerate(sizes)]
    over = outgrown(held, quotas(slots))
    kept = Counter(one.lane.size for one in held if one not in over)
    for place, size in enumerate(SIZES):
        allowed = quotas(slots)[size]
        assert sum(kept[each] for each in SIZES[place:]) <= allowed
    if not over:
        return
    back = [*(one for one in held if one not in over), over[-1]]
    counts = Counter(one.lane.size for one in back)
    assert any(sum(counts[each] for each in SIZES[p:]) > quotas(slots)[size] for p, size in enumerate(SIZES))
