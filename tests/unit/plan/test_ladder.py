"""Times are said so that people can read them, and never better than they are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.plan.model.ladder import promisable, quantile, spoken


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.00001, "0 s"), (0.23, "230 ms"), (0.9999, "1 s"), (1.44, "1.4 s"), (9.97, "10 s"), (60, "1 min"),
        (75, "75 s"), (100, "1.7 min"), (599.9, "10 min"), (3600, "1 h"), (19_200, "5 h 20 min"), (172_800, "2 d"),
        (180_000, "2 d 2 h"), (math.inf, "never"),
    ],
)  # fmt: skip
def test_a_time_is_said_briefly(seconds: float, said: str) -> None:
    assert spoken(seconds) == said


@given(st.floats(0, 1e8))
def test_a_promise_is_never_shorter_than_what_is_needed_nor_three_times_as_long(seconds: float) -> None:
    promised = promisable(seconds)
    assert promised >= seconds
    assert promised <= max(0.01, 3 * seconds)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_not_exceeded_by_the_share_that_it_names(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
    assert found in ordered


def test_the_quantile_of_nothing_is_nothing() -> None:
    assert quantile([], 0.99) == 0
