"""What is called normal is normal: few false alarms at any number of similar jobs, ranges that hold what they say."""

import random
from math import exp

import pytest

from invoicing.diagnosis.model.durations import FEWEST, Group, Prediction, learn, magnitude, student

PER_ROUND = 5


def healthy(draw: random.Random, spread: float, *, heavy: bool = False) -> tuple[float, float]:
    """Draw a job of some predicted seconds between 1 and 10, and what it took: log-normal, or heavier-tailed."""
    predicted = draw.uniform(1, 9.9)
    error = draw.expovariate(1 / spread) * draw.choice((-1, 1)) if heavy else draw.gauss(0, spread)
    return predicted, 1.7 * predicted * exp(error)


def predictions(similar: int, spread: float, rounds: int, *, heavy: bool = False) -> list[tuple[Prediction, float]]:
    """Learn from so many jobs, beside two other kinds, and draw some more: what was predicted, and what it took."""
    draw = random.Random(similar)
    drawn = []
    for _ in range(rounds):
        groups = []
        for kind, count in (("this", similar), ("that", 40), ("other", 40)):
            pairs = [healthy(draw, spread, heavy=heavy) for _ in range(count)]
            groups.append(Group(kind, 0, tuple(p for p, _ in pairs), tuple(d for _, d in pairs)))
        history = learn(groups, None)
        for _ in range(PER_ROUND):
            predicted, took = healthy(draw, spread, heavy=heavy)
            prediction = history.predict("this", predicted)
            assert prediction is not None
            drawn.append((prediction, took))
    return drawn


@pytest.mark.parametrize("spread", [0.2, 1.0])
@pytest.mark.parametrize("similar", [3, 10, 99, 200])
def test_healthy_work_is_hardly_ever_called_slow(similar: int, spread: float) -> None:
    drawn = predictions(similar, spread, 400)
    assert sum(took > prediction.quantile(0.99) for prediction, took in drawn) / len(drawn) <= 0.015


@pytest.mark.parametrize("similar", [3, 5, 10, 30])
def test_nor_is_healthy_work_with_heavy_tails(similar: int) -> None:
    drawn = predictions(similar, 0.6, 600, heavy=True)
    assert sum(took > prediction.quantile(0.99) for prediction, took in drawn) / len(drawn) <= 0.015


@pytest.mark.parametrize("similar", [10, 99, 200])
def test_half_of_the_jobs_end_before_p50_and_nine_of_ten_before_p90(similar: int) -> None:
    drawn = predictions(similar, 0.6, 400)
    for share in (0.5, 0.9):
        within = sum(took <= prediction.quantile(share) for prediction, took in drawn) / len(drawn)
        assert abs(within - share) < 0.04


def test_a_job_that_takes_twenty_times_as_long_is_called_slow() -> None:
    drawn = predictions(10, 0.4, 20)
    assert all(took * 20 > prediction.quantile(0.99) for prediction, took in drawn)


def test_too_few_similar_jobs_predict_nothing() -> None:
    pairs = (1.0,) * (FEWEST - 1)
    history = learn([Group("this", 0, pairs, pairs)], None)
    assert history.predict("this", 1.0) is None
    assert history.similar("this", 1.0) == FEWEST - 1


def test_what_remains_shrinks_as_the_job_goes_on_as_usual() -> None:
    prediction = Prediction(median_log=3.0, scale=0.3, freedom=50)
    likely = [prediction.remaining(0.5, worked) for worked in (0, 5, 10, 15)]
    assert likely == sorted(likely, reverse=True)
    assert prediction.remaining(0.05, 15) < likely[-1] < prediction.remaining(0.95, 15)


@pytest.mark.parametrize(
    ("share", "freedom", "table"), [(0.95, 5, 2.015), (0.99, 5, 3.365), (0.99, 12, 2.681), (0.9, 30, 1.310)]
)
def test_students_quantiles_are_those_of_the_tables(share: float, freedom: float, table: float) -> None:
    assert student(share, freedom) == pytest.approx(table, abs=0.02)


@pytest.mark.parametrize(
    ("predicted", "power"), [(0.0, -3), (0.001, -3), (0.5, -1), (1.0, 0), (9.99, 0), (10.0, 1), (3600.0, 3)]
)
def test_similar_means_the_same_power_of_ten(predicted: float, power: int) -> None:
    assert magnitude(predicted) == power
