"""Scores add up to what was said and what came, day by day or all at once."""

from datetime import date
from random import Random
from statistics import median as exact

import pytest

from invoicing.diagnosis.model.calibration import Came, Class, Said, Tally, added_up, median
from invoicing.diagnosis.model.margins import Stage
from invoicing.jobs.model import Size

OF = Class(date(2026, 11, 22), "drill", Size.SMALL, Stage.WAITING)
SAID = Said(likely_s=10, earliest_s=5, latest_s=20, naive_s=40, slow_after_s=3)


@pytest.mark.parametrize(("passed_s", "early", "late"), [(4.9, 1, 0), (5, 0, 0), (20, 0, 0), (20.1, 0, 1)])
def test_a_range_holds_from_its_first_second_to_its_last(passed_s: float, early: int, late: int) -> None:
    (one,) = added_up([(OF, Came(SAID, passed_s, None))]).values()
    assert (one.early, one.late, one.share_held) == (early, late, 1 - early - late)


def test_a_range_that_was_not_called_certain_is_not_held_against_anybody() -> None:
    one = Tally()
    one.score(Came(Said(likely_s=10, naive_s=40), 500, 1))
    assert (one.scored, one.ranged, one.share_held, one.verdict) == (1, 0, None, "unknown")
    assert median(one.errors) == pytest.approx(490, rel=0.06)


@pytest.mark.parametrize(("worked_s", "bounded", "slow"), [(2.9, 1, 0), (3.1, 1, 1), (None, 0, 0)])
def test_a_job_that_ended_well_beyond_its_bound_was_called_slow_wrongly(
    worked_s: float | None, bounded: int, slow: int
) -> None:
    one = Tally()
    one.score(Came(SAID, 10, worked_s))
    assert (one.bounded, one.slow) == (bounded, slow)


@pytest.mark.parametrize(
    ("held", "verdict"), [(86, "too_narrow"), (88, "fits"), (90, "fits"), (92, "fits"), (94, "too_wide")]
)
def test_a_verdict_says_whether_nine_of_ten_are_held(held: int, verdict: str) -> None:
    assert Tally(scored=100, ranged=100, late=100 - held).verdict == verdict
    assert Tally(scored=50, ranged=50, late=(100 - held) // 2).verdict == "unknown"


def test_days_added_up_are_all_cases_at_once_and_medians_are_known_to_six_percent() -> None:
    chance = Random(1)
    ends = [Came(SAID, chance.lognormvariate(2, 1.5), chance.uniform(1, 4)) for _ in range(1_001)]
    (whole,) = added_up((OF, one) for one in ends).values()
    parts = added_up((OF._replace(day=date(2026, 11, 1 + number % 5)), one) for number, one in enumerate(ends))
    together = Tally()
    for part in parts.values():
        together.add(part)
    assert len(parts) == 5
    assert together == whole
    for errors, likely_s in ((whole.errors, 10), (whole.naive_errors, 40)):
        assert median(errors) == pytest.approx(exact(abs(likely_s - one.passed_s) for one in ends), rel=0.07)
