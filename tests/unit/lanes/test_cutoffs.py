"""Cut-offs follow the load: in order, within their bounds, and slowly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.lanes.model import POLICY, Cutoffs
from invoicing.lanes.model.cutoffs import (
    FASTEST_PER_HOUR,
    FEWEST_JOBS,
    HIGHEST,
    LOWEST,
    Load,
    added,
    moved,
    wanted,
)

DAY = 86_400.0
DEFAULTS = POLICY.cutoffs

worked = st.lists(st.floats(0.0, 1e6), max_size=300)
cutoffs = st.lists(st.floats(0.01, 1e5), min_size=3, max_size=3).map(lambda three: Cutoffs(*sorted(three)))


def three(of: Cutoffs) -> list[float]:
    return [of.small_s, of.medium_s, of.large_s]


def enough(*seconds: float) -> Load:
    """Make a load of these lengths, many times over."""
    return added(Load(), [(one, FEWEST_JOBS) for one in seconds], 0.0)


@given(worked, cutoffs)
def test_what_is_wanted_is_in_order_and_within_bounds_whatever_the_load(
    seconds: list[float], defaults: Cutoffs
) -> None:
    found = wanted(added(Load(), [(one, 20) for one in seconds], 0.0), defaults)
    assert three(found) == sorted(three(found))
    for one, default in zip(three(found), three(defaults), strict=True):
        assert default * LOWEST * 0.999 <= one <= default * HIGHEST * 1.001


@given(cutoffs, cutoffs, st.floats(0, 1e9))
def test_a_move_keeps_the_order_and_is_slow(present: Cutoffs, target: Cutoffs, elapsed_s: float) -> None:
    found = moved(present, target, elapsed_s)
    fastest = (1 + FASTEST_PER_HOUR) * (1 + 1e-9)
    for before, after, goal in zip(three(present), three(found), three(target), strict=True):
        assert before / fastest <= after <= before * fastest
        assert min(before, goal) * (1 - 1e-9) <= after <= max(before, goal) * (1 + 1e-9)
    pairs = zip(three(found), three(found)[1:], strict=False)
    assert all(one <= other * (1 + 1e-9) for one, other in pairs)


@given(cutoffs, cutoffs, st.integers(1, 12))
def test_many_small_moves_make_no_more_way_than_one_large_one(present: Cutoffs, target: Cutoffs, parts: int) -> None:
    step = present
    for _ in range(parts):
        step = moved(step, target, 3600 / parts)
    assert three(step) == pytest.approx(three(moved(present, target, 3600)))


def test_without_enough_to_go_by_they_are_where_the_policy_puts_them() -> None:
    assert wanted(added(Load(), [(0.1, FEWEST_JOBS - 1)], 0.0), DEFAULTS) == DEFAULTS
    assert wanted(Load(), DEFAULTS) == DEFAULTS


def test_every_class_gets_a_quarter_of_the_work_where_the_bounds_allow_it() -> None:
    found = wanted(enough(*[0.5] * 400, *[20.0] * 10, 400.0), DEFAULTS)
    assert found.small_s == pytest.approx(0.5)
    assert 20 / 2**0.5 <= found.medium_s <= 20
    assert 400 / 2**0.5 <= found.large_s <= 400


def test_a_load_of_giants_alone_does_not_make_small_what_is_large() -> None:
    assert three(wanted(enough(18_000.0), DEFAULTS)) == pytest.approx([one * HIGHEST for one in three(DEFAULTS)])


def test_a_load_of_tiny_jobs_cuts_lower_but_not_below_a_third() -> None:
    assert three(wanted(enough(0.02), DEFAULTS)) == pytest.approx([one * LOWEST for one in three(DEFAULTS)])


def test_yesterday_counts_half() -> None:
    load = added(enough(1.0), [], DAY)
    assert load.jobs == pytest.approx(FEWEST_JOBS / 2)
    assert sum(load.work_s.values()) == pytest.approx(FEWEST_JOBS / 2)
