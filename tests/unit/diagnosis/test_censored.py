"""What running jobs tell: while the quick ones have ended, when the others should end is foreseen without a bias."""

from collections.abc import Sequence
from math import exp, log
from random import Random
from statistics import fmean
from uuid import UUID

import pytest

from invoicing.diagnosis.model.censored import Running, fit_with
from invoicing.diagnosis.model.durations import MOST_SIMILAR, Group, History, learn, with_running
from invoicing.diagnosis.model.lines import Sums, fit

STRANGER = UUID(int=10**6)


def learned(took: Sequence[float], running: Sequence[float], predicted_s: float = 5.0) -> History:
    """Learn from jobs of one prediction that took so long, and others that have been worked on so long."""
    known = [Group("this", 0, (predicted_s,) * len(took), tuple(took))] if took else []
    going_on = [Running(UUID(int=place), "this", predicted_s, worked_s) for place, worked_s in enumerate(running)]
    return with_running(learn(known, None), going_on)


def middle_s(history: History, job_id: UUID = STRANGER) -> float:
    expected = history.expect("this", 5.0, job_id)
    assert expected is not None
    return exp(expected.median_log)


def test_in_a_burst_as_many_end_before_the_likely_end_as_after_it() -> None:
    chance, plain, both = Random(1), [], []
    for _ in range(30):
        ends = sorted(5 * exp(chance.gauss(0, 0.6)) for _ in range(40))
        now_s = ends[11]
        history = learned(ends[:12], [now_s] * 28)
        known = history.predict("this", 5.0)
        assert known is not None
        plain.append(known.median_log - log(5))
        both.append(middle_s(history) / 5)
    assert fmean(plain) < -0.5
    assert abs(log(fmean(both))) < 0.15


def test_what_is_normal_is_what_ended() -> None:
    took = [4.0, 5.0, 6.0, 5.5]
    assert learned(took, [50.0] * 20).predict("this", 5.0) == learned(took, []).predict("this", 5.0)


def test_a_job_does_not_put_off_its_own_end() -> None:
    took = [4.0, 5.0, 6.0, 5.5]
    alone, beside = learned(took, [50.0]), learned(took, [50.0, 9.0])
    assert alone.expect("this", 5.0, UUID(int=0)) == alone.predict("this", 5.0)
    assert middle_s(beside, UUID(int=0)) == pytest.approx(middle_s(learned(took, [9.0])))
    assert middle_s(alone) > middle_s(beside, UUID(int=0)) > middle_s(learned(took, []))


def test_what_has_only_begun_says_nothing() -> None:
    took = [4.0, 5.0, 6.0, 5.5]
    assert learned(took, [1.0] * 20).running == {}


@pytest.mark.parametrize("ended", [0, 2, MOST_SIMILAR])
def test_running_jobs_count_only_beside_all_that_have_ended(ended: int) -> None:
    history = learned([5.0] * ended, [50.0] * 20)
    assert history.running == {}
    assert history.expect("this", 5.0, STRANGER) == history.predict("this", 5.0)


def test_a_job_that_ran_beyond_all_bounds_is_counted_and_breaks_nothing() -> None:
    line = fit_with(Sums().plus([(0.0, 0.0)] * 5), [Running(STRANGER, "this", 1.0, 1e9)], 1e-12)
    assert log(1e9) / 6 <= line.at_mean < log(1e9)
    assert line.ended == 5


def test_a_fit_from_sums_is_that_of_its_points() -> None:
    chance = Random(2)
    points = [(x, 0.5 + 1.2 * x + chance.gauss(0, 0.3)) for x in (chance.uniform(-3, 9) for _ in range(50))]
    line = fit(Sums().plus(points[:20]).plus(points[20:]))
    residuals = sum((y - line.median_log(x)) ** 2 for x, y in points)
    assert line.residuals == pytest.approx(residuals)
    assert line.slope == pytest.approx(1.2, abs=0.05)
    assert line.at_mean == pytest.approx(fmean(y for _, y in points))
