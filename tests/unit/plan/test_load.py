"""A described load becomes jobs: the same seed the same ones, as many and as large as was described."""

import math
from dataclasses import replace
from statistics import fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import Priority
from invoicing.plan.model.load import Load, Stream, arrivals
from invoicing.plan.model.spread import Fixed, LogNormal, Pareto, Spread

MANY = 1_000_000
SHOP = Stream("shop", "invoice.issue", LogNormal(0.3, 0.8), rate_per_hour=3600, customers=10, error=0.5)
GIANTS = Stream("giants", "bills", Pareto(1.1, 60.0, 7200.0), rate_per_hour=6, without_checkpoints=0.5)


def made(*streams: Stream, seed: int = 1, lasts_s: float = 3600.0) -> list[object]:
    return list(arrivals(Load(streams, lasts_s), seed, MANY)[0])


def test_the_same_seed_makes_the_same_jobs_and_another_seed_others() -> None:
    assert made(SHOP, GIANTS, seed=7) == made(SHOP, GIANTS, seed=7)
    assert made(SHOP, GIANTS, seed=7) != made(SHOP, GIANTS, seed=8)


def test_a_stream_makes_the_same_jobs_whatever_other_streams_there_are() -> None:
    alone = {(job.at_s, job.size_s) for job in arrivals(Load((GIANTS,)), 1, MANY)[0]}
    beside = {(job.at_s, job.size_s) for job in arrivals(Load((SHOP, GIANTS)), 1, MANY)[0] if job.kind == "bills"}
    assert alone == beside


def test_a_higher_rate_makes_more_jobs_of_the_same_sizes() -> None:
    few = [job.size_s for job in arrivals(Load((GIANTS,)), 1, MANY)[0]]
    more = [job.size_s for job in arrivals(Load((replace(GIANTS, rate_per_hour=60),)), 1, MANY)[0]]
    assert len(more) > len(few) > 0
    assert more[: len(few)] == few


def test_jobs_come_in_order_at_the_rate_and_within_the_time() -> None:
    jobs, whole = arrivals(Load((SHOP, GIANTS), 7200.0), 1, MANY)
    times = [job.at_s for job in jobs]
    assert whole
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 7200
    assert len(jobs) == pytest.approx(7212, rel=0.05)


def test_a_stream_begins_and_ends_when_it_says() -> None:
    jobs, _ = arrivals(Load((replace(SHOP, begins_s=600, ends_s=1200, at_once=50),)), 1, MANY)
    assert sum(job.at_s == 600 for job in jobs) == 50
    assert all(600 <= job.at_s < 1200 for job in jobs)


def test_what_is_left_out_is_said() -> None:
    jobs, whole = arrivals(Load((SHOP, GIANTS)), 1, 100)
    assert not whole
    assert sum(job.kind == "invoice.issue" for job in jobs) == 100
    assert any(job.kind == "bills" for job in jobs)


def test_customers_share_a_stream_evenly_and_use_the_keys_they_have() -> None:
    jobs, _ = arrivals(Load((replace(SHOP, keys=3),)), 1, MANY)
    counts = [sum(job.customer == f"shop {number}" for job in jobs) for number in range(1, 11)]
    assert sum(counts) == len(jobs)
    assert min(counts) > 0.7 * max(counts)
    assert len({job.key for job in jobs}) == 30
    assert all(job.key.startswith(job.customer) for job in jobs)


def test_two_streams_may_belong_to_the_same_customers() -> None:
    urgent = replace(SHOP, name="urgent", customer="shop", priority=Priority.URGENT)
    jobs, _ = arrivals(Load((SHOP, urgent)), 1, MANY)
    assert {job.customer for job in jobs} == {f"shop {number}" for number in range(1, 11)}


def test_estimates_are_off_as_described_and_a_lie_is_told_always() -> None:
    errors = [math.log(job.estimated_s / job.size_s) for job in arrivals(Load((SHOP,)), 1, MANY)[0]]
    assert fmean(errors) == pytest.approx(0, abs=0.05)
    assert fmean(error**2 for error in errors) == pytest.approx(0.25, rel=0.1)
    liars, _ = arrivals(Load((replace(GIANTS, claims_s=0.3),)), 1, MANY)
    assert {job.estimated_s for job in liars} == {0.3}


def test_the_described_share_of_jobs_cannot_stop_on_the_way() -> None:
    jobs, _ = arrivals(Load((replace(GIANTS, rate_per_hour=1000, checkpoint_s=2.0),)), 1, MANY)
    stuck = [job for job in jobs if not job.checkpoints]
    assert len(stuck) == pytest.approx(len(jobs) / 2, rel=0.15)
    assert all(job.checkpoints == int(job.size_s / 2) for job in jobs if job.checkpoints)


@pytest.mark.parametrize(
    "spread", [Fixed(2.0), LogNormal(0.3, 0.8), Pareto(1.5, 0.02, 100.0), Pareto(1.0, 1.0, 100.0)], ids=str
)
def test_sizes_have_the_mean_that_the_offered_work_is_computed_from(spread: Spread) -> None:
    stream = Stream("a", "a", spread, rate_per_hour=200_000)
    jobs, _ = arrivals(Load((stream,)), 1, MANY)
    assert fmean(job.size_s for job in jobs) == pytest.approx(spread.mean(), rel=0.05)
    assert Load((stream,)).offered() == pytest.approx(spread.mean() * 200_000 / 3600)


def test_the_median_of_a_log_normal_stream_is_the_one_described() -> None:
    assert median(job.size_s for job in arrivals(Load((SHOP,)), 1, MANY)[0]) == pytest.approx(0.3, rel=0.1)


@given(st.floats(0.05, 5), st.floats(0.001, 10), st.floats(1.01, 1e5), st.integers(0, 1000))
def test_a_heavy_tail_stays_within_its_bounds(alpha: float, least: float, ratio: float, seed: int) -> None:
    stream = Stream("a", "a", Pareto(alpha, least, least * ratio), at_once=50)
    jobs, _ = arrivals(Load((stream,)), seed, MANY)
    assert all(least * 0.999 <= job.size_s <= least * ratio * 1.001 for job in jobs)
