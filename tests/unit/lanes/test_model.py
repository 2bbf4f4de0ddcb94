"""The rules of lanes: which class a job is, when it is taken, how many of a class may run."""

from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import BY_NAME, LANES, POLICY, SIZES, free_for, larger, quotas

slot_counts = st.integers(2, 500)
runnings = st.dictionaries(st.sampled_from(SIZES), st.integers(0, 600))


@pytest.mark.parametrize(
    ("seconds", "size"),
    [
        (0, Size.SMALL), (1.0, Size.SMALL), (1.01, Size.MEDIUM), (30, Size.MEDIUM), (30.1, Size.LARGE),
        (900, Size.LARGE), (901, Size.HUGE), (1e9, Size.HUGE), (float("inf"), Size.HUGE),
    ],
)  # fmt: skip
def test_work_has_the_class_of_its_length(seconds: float, size: Size) -> None:
    assert POLICY.cutoffs.classify(seconds) is size


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_more_work_is_never_a_smaller_class(one: float, other: float) -> None:
    assert SIZES.index(POLICY.cutoffs.classify(min(one, other))) <= SIZES.index(
        POLICY.cutoffs.classify(max(one, other))
    )


def test_every_class_but_the_largest_has_a_next_and_a_limit() -> None:
    assert [larger(size) for size in SIZES] == [*SIZES[1:], None]
    assert [size for size in SIZES if POLICY.cutoffs.limit(size) is not None] == list(SIZES[:-1])


def test_there_is_one_lane_for_every_priority_and_class_and_smaller_ones_are_looked_at_first() -> None:
    assert {(lane.priority, lane.size) for lane in LANES} == {(p, s) for p in Priority for s in Size}
    assert [SIZES.index(lane.size) for lane in LANES] == sorted(SIZES.index(lane.size) for lane in LANES)
    assert BY_NAME["normal-small"].size is Size.SMALL


@pytest.mark.parametrize("size", SIZES)
def test_the_more_urgent_is_due_earlier_in_every_class(size: Size) -> None:
    delays = [POLICY.due_after(priority, size) for priority in (Priority.URGENT, Priority.NORMAL, Priority.BULK)]
    assert delays == sorted(set(delays))
    assert delays[0] >= timedelta(0)


@pytest.mark.parametrize("priority", Priority)
def test_the_smaller_is_due_earlier_in_every_priority(priority: Priority) -> None:
    delays = [POLICY.due_after(priority, size) for size in SIZES]
    assert delays == sorted(set(delays))


@pytest.mark.parametrize(
    ("slots", "expected"),
    [(1, (2, 1, 1, 1)), (2, (3, 2, 2, 2)), (4, (5, 4, 3, 3)), (8, (9, 7, 6, 5)), (32, (33, 28, 24, 20))],
)
def test_larger_work_leaves_slots_to_smaller(slots: int, expected: tuple[int, ...]) -> None:
    assert tuple(quotas(slots).values()) == expected


@given(slot_counts)
def test_small_work_may_use_every_slot_and_larger_never_the_last(slots: int) -> None:
    quota = [quotas(slots)[size] for size in SIZES]
    assert quota == sorted(quota, reverse=True)
    assert quota[0] == slots + POLICY.spare
    assert quota[-1] >= 1
    assert quota[1] <= slots < quota[0]


@given(slot_counts, st.data())
def test_work_that_is_what_it_was_taken_for_never_exceeds_the_slots_or_its_quota(
    slots: int, data: st.DataObject
) -> None:
    running = dict.fromkeys(SIZES, 0)
    for size in data.draw(st.lists(st.sampled_from(SIZES), max_size=40)):
        free = free_for(size, running, slots)
        running[size] += data.draw(st.integers(0, free))
        assert sum(running.values()) <= slots + POLICY.spare
        for place, larger_or_same in enumerate(SIZES):
            assert sum(running[each] for each in SIZES[place:]) <= quotas(slots)[larger_or_same]


@given(slot_counts, runnings)
def test_however_much_outgrew_its_class_small_work_still_gets_the_slots_kept_for_it(
    slots: int, running: dict[Size, int]
) -> None:
    running[Size.SMALL] = 0
    kept = slots + POLICY.spare - quotas(slots)[Size.MEDIUM]
    assert kept >= 1
    assert free_for(Size.SMALL, running, slots) >= kept


@given(slot_counts, runnings, st.sampled_from(SIZES), st.sampled_from(SIZES))
def test_another_running_job_never_frees_a_slot(slots: int, running: dict[Size, int], size: Size, added: Size) -> None:
    more = {**running, added: running.get(added, 0) + 1}
    assert 0 <= free_for(size, more, slots) <= free_for(size, running, slots) <= slots + POLICY.spare


@given(slot_counts, runnings)
def test_a_smaller_class_never_has_less_room_than_a_larger(slots: int, running: dict[Size, int]) -> None:
    room = [free_for(size, running, slots) for size in SIZES]
    assert room == sorted(room, reverse=True)


@given(slot_counts, runnings, st.sampled_from(SIZES[:-1]))
def test_a_job_found_to_be_larger_than_taken_for_never_takes_more_room_from_the_small(
    slots: int, running: dict[Size, int], size: Size
) -> None:
    assume(running.get(size, 0) > 0)
    bigger = larger(size)
    assert bigger is not None
    grown = {**running, size: running[size] - 1, bigger: running.get(bigger, 0) + 1}
    assert free_for(Size.SMALL, grown, slots) >= free_for(Size.SMALL, running, slots)
