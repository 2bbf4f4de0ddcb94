"""A customer pays for what its jobs used, whatever was predicted of them."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, Lane, Running, Waiting
from invoicing.lanes.model.metering import Charge, Meter, first_s

SMALL = Lane(Priority.NORMAL, Size.SMALL)
LARGE = Lane(Priority.NORMAL, Size.LARGE)
SECONDS = st.floats(0, 1e6)


def waiting(first: float, lane: Lane = SMALL) -> Waiting:
    return Waiting(uuid4(), 1, UUID(int=1), UUID(int=2), lane, 0.0, first)


def running(one: Waiting, since: float, worker: UUID | None = UUID(int=3)) -> Running:  # noqa: B008 - a value
    return Running(one.job_id, one.attempt, one.customer_id, one.key_id, one.lane, one.order_at, since, worker)


def paid(charges: list[Charge]) -> float:
    return sum(charge.seconds for charge in charges)


@given(SECONDS, st.lists(SECONDS, max_size=5).map(sorted))
def test_in_the_end_exactly_what_was_used_is_charged(first: float, moments: list[float]) -> None:
    meter, one = Meter(), waiting(first)
    meter.released(one)
    charged = first
    for moment in moments:
        charged += paid(meter.observe([running(one, 0.0)], [], moment))
    used = moments[-1] + 1 if moments else 0.5
    assert meter.observe([], [], used) == []
    assert meter.gone(9) == [(one.job_id, 1)]
    charged += paid(meter.ended(meter.gone(9), {(one.job_id, 1): used}))
    assert charged == pytest.approx(used, abs=1e-6)
    assert meter.gone(9) == []


def test_long_work_is_charged_while_it_runs_and_not_only_at_its_end() -> None:
    meter, one = Meter(), waiting(first_s(3600, Size.LARGE, POLICY), LARGE)
    assert one.first_s == POLICY.turn_s[Size.LARGE] == 30
    meter.released(one)
    assert meter.observe([running(one, 100.0)], [], 120.0) == []
    assert meter.observe([running(one, 100.0)], [], 140.0) == [Charge(one.customer_id, one.key_id, 10.0, LARGE)]
    assert meter.observe([running(one, 100.0)], [], 140.01) == []


def test_work_that_is_set_aside_costs_nothing_until_it_has_a_slot_again() -> None:
    meter, one = Meter(), waiting(1.0, LARGE)
    meter.released(one)
    assert paid(meter.observe([running(one, 0.0)], [], 5.0)) == 4.0
    assert [meter.observe([running(one, 0.0, None)], [], now) for now in (6.0, 60.0, 65.0)] == [[], [], []]
    assert paid(meter.observe([running(one, 0.0)], [], 66.0)) == pytest.approx(1.0)
    meter.observe([], [], 67.0)
    assert paid(meter.ended(meter.gone(9), {(one.job_id, 1): 66.0})) == 0


def test_what_never_began_costs_nothing() -> None:
    meter, one, other = Meter(), waiting(0.5), waiting(0.25)
    meter.released(one)
    meter.released(other)
    assert meter.refused(other).seconds == -0.25
    meter.observe([], [one], 1.0)
    assert meter.gone(9) == []
    meter.observe([], [], 2.0)
    assert paid(meter.ended(meter.gone(9), {})) == -0.5
    assert meter.pace == {}


def test_what_another_dispatcher_released_is_charged_from_now_on() -> None:
    meter, one, other = Meter(), waiting(0.5), waiting(0.4)
    assert meter.observe([running(one, 0.0)], [other], 10.0) == []
    assert paid(meter.observe([running(one, 0.0)], [other], 12.0)) == pytest.approx(2.0)
    meter.observe([], [], 13.0)
    ended = meter.ended(meter.gone(9), {(one.job_id, 1): 12.5, (other.job_id, 1): 0.4})
    assert paid(ended) == pytest.approx(0.5)


def test_an_end_is_looked_up_again_until_it_is_known() -> None:
    meter, one = Meter(), waiting(0.5)
    meter.released(one)
    meter.observe([], [], 1.0)
    assert meter.gone(1) == meter.gone(1) == [(one.job_id, 1)]


def test_the_pace_of_a_class_follows_what_its_jobs_took_lately() -> None:
    meter = Meter()
    for _ in range(60):
        one = waiting(0.5)._replace(job_id=uuid4())
        meter.released(one)
        meter.observe([], [], 1.0)
        meter.ended(meter.gone(9), {(one.job_id, 1): 0.002})
    assert meter.pace == pytest.approx({Size.SMALL: 0.002})
