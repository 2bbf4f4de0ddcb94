"""Ranges are as wide as the last ones should have been, and what goes on still counts."""

import random
from math import exp

import pytest

from invoicing.diagnosis.model.margins import FEWEST_CASES, LAST, Case, margins


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0])
def test_nine_of_ten_new_cases_fall_between_the_margins(spread: float) -> None:
    draw = random.Random(7)
    held = asked = 0
    for _ in range(40):
        drawn = [5.0 * exp(draw.gauss(0, spread)) for _ in range(LAST + 50)]
        found = margins([Case(1.0, ratio) for ratio in drawn[:LAST]])
        assert found is not None
        held += sum(found.low <= ratio <= found.high for ratio in drawn[LAST:])
        asked += 50
    assert 0.87 < held / asked < 0.93


def test_jobs_that_go_on_for_long_widen_the_range() -> None:
    ended = [Case(1.0, 1.0 + place / 1000) for place in range(100)]
    known, wider = margins(ended), margins([*ended, *[Case(1.0, 1.05, ended=False)] * 50])
    assert known is not None
    assert wider is not None
    assert wider.middle > known.middle


def test_too_few_cases_teach_nothing() -> None:
    assert margins([Case(1.0, 1.0)] * (FEWEST_CASES - 1)) is None
    assert margins([Case(1.0, 1.0, ended=False)] * LAST) is None
