"""Ends foreseen on the way through a simulation hold as often as they say, and better than a rule of thumb."""

import math
from random import Random
from statistics import median

from invoicing.jobs.model import Priority
from invoicing.lanes.model import POLICY
from invoicing.plan.model.foresight import Prophet, simulate_foreseeing
from invoicing.plan.model.simulation import Fleet, Work


def heavy_tailed(jobs: int, per_s: float = 2.6) -> list[Work]:
    """Draw jobs whose sizes and estimates spread widely; at the usual pace a load of about 0.7 for two slots."""
    chance, at_s, made = Random(3), 0.0, []
    for _ in range(jobs):
        at_s += chance.expovariate(per_s)
        size_s = min(0.1 / (1 - chance.random()) ** (1 / 1.2), 600.0)
        claimed_s = size_s * math.exp(chance.gauss(0.0, 1.0))
        customer = f"customer {chance.randrange(10)}"
        made.append(Work(at_s, customer, customer, Priority.NORMAL, size_s, claimed_s, int(size_s)))
    return made


def test_nine_of_ten_ends_come_inside_their_range_and_nobody_is_held_up_by_asking() -> None:
    work, prophet = heavy_tailed(3_000), Prophet(0.3, 1)
    outcome = simulate_foreseeing(work, Fleet((2,)), POLICY, prophet)
    given = [one for one in prophet.given if one.certain]
    assert len(given) > 500
    assert 0.85 < sum(one.holds for one in given) / len(given) < 0.95
    error, naive = (median(abs(x - y) for x, y in pairs) for pairs in (
        [(one.likely_s, one.actual_s) for one in given], [(one.naive_s, one.actual_s) for one in given]
    ))  # fmt: skip
    assert error < naive / 2
    assert all(one.finished_s is not None for one in outcome.jobs)


def test_as_many_start_before_a_job_as_its_band_says_also_while_ever_more_come() -> None:
    prophet = Prophet(0.3, 1)
    simulate_foreseeing(heavy_tailed(1_200, per_s=5.0), Fleet((2,)), POLICY, prophet)
    waited = [one for one in prophet.passed if one.said.count > 0]
    assert len(waited) > 100
    assert sum(one.holds for one in waited) / len(waited) > 0.85
    assert sum(one.said.count == one.actual for one in waited) / len(waited) < 0.8, "a place alone would not do"
    assert all(one.said.fewest <= one.said.count <= (one.said.at_most or one.said.count) for one in waited)
