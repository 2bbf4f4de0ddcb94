"""A promise is told to be at risk before it breaks, and as well again only when that is sure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import Eta, PromiseStatus, State
from invoicing.jobs.model.promises import Promised, kept_at_the_end, standing_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ON_TRACK, AT_RISK, MISSED = PromiseStatus.ON_TRACK, PromiseStatus.AT_RISK, PromiseStatus.MISSED
SECONDS = st.integers(-1_000, 100_000)
WAS = st.sampled_from([ON_TRACK, AT_RISK])


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def promised(due_in: float, was: PromiseStatus = ON_TRACK, given_before: float = 1_000) -> Promised:
    return Promised(was, after(due_in), after(-given_before))


def latest(seconds: float) -> Eta:
    return Eta(after(seconds / 4), after(seconds / 2), after(seconds), 0.9, 100)


@pytest.mark.parametrize(
    ("was", "due_in", "latest_in", "stands"),
    [
        (ON_TRACK, 100, 100, ON_TRACK),
        (ON_TRACK, 100, 101, AT_RISK),
        (AT_RISK, 100, 81, AT_RISK),  # it fits now, but barely
        (AT_RISK, 100, 80, ON_TRACK),
        (ON_TRACK, 0, 0, ON_TRACK),
        (ON_TRACK, -1, 0, MISSED),
        (AT_RISK, -1, 0, MISSED),
        (ON_TRACK, 5_000, None, ON_TRACK),
        (ON_TRACK, 100, None, AT_RISK),  # a tenth of the promised time is left, and nobody can say when it ends
        (ON_TRACK, 120, None, ON_TRACK),
        (AT_RISK, 5_000, None, AT_RISK),  # not knowing is no reason to call it well again
        (ON_TRACK, -1, None, MISSED),
    ],
)
def test_a_promise_stands_as_what_is_expected_says(
    was: PromiseStatus, due_in: float, latest_in: float | None, stands: PromiseStatus
) -> None:
    eta = None if latest_in is None else latest(latest_in)
    assert standing_of(promised(due_in, was), eta, NOW) is stands


@pytest.mark.parametrize(("promised_s", "near_s"), [(60, 20), (3_600, 360), (1_000_000, 7_200)])
def test_what_is_near_grows_with_what_was_promised(promised_s: float, near_s: float) -> None:
    for left, stands in ((near_s, AT_RISK), (near_s + 1, ON_TRACK)):
        assert standing_of(promised(left, given_before=promised_s - left), None, NOW) is stands


@pytest.mark.parametrize(("starts_in", "stands"), [(99, ON_TRACK), (5_000, AT_RISK), (90_000, AT_RISK)])
def test_what_cannot_start_in_time_is_at_risk_though_nobody_knows_how_long_it_takes(
    starts_in: float, stands: PromiseStatus
) -> None:
    assert standing_of(promised(5_000), None, NOW, after(starts_in)) is stands


@given(WAS, SECONDS, st.none() | SECONDS, st.integers(1, 100_000))
def test_a_promise_that_will_break_by_what_is_expected_is_never_called_on_track(
    was: PromiseStatus, due_in: int, latest_in: int | None, span: int
) -> None:
    eta = None if latest_in is None else latest(latest_in)
    stands = standing_of(promised(due_in, was, span), eta, NOW)
    assert (stands is MISSED) == (due_in < 0)
    if latest_in is not None and latest_in > due_in >= 0:
        assert stands is AT_RISK


@given(SECONDS, st.none() | SECONDS)
def test_what_was_just_told_stays_true_while_nothing_changes(due_in: int, latest_in: int | None) -> None:
    eta = None if latest_in is None else latest(latest_in)
    first = standing_of(promised(due_in), eta, NOW)
    if first is not MISSED:
        assert standing_of(promised(due_in, first), eta, NOW) is first


@pytest.mark.parametrize(
    ("state", "late", "stands"),
    [
        (State.SUCCEEDED, 0, PromiseStatus.KEPT),
        (State.SUCCEEDED, 1, MISSED),
        (State.DEAD, -100, MISSED),
        (State.CANCELLED, -100, PromiseStatus.KEPT),
        (State.CANCELLED, 1, MISSED),
    ],
)
def test_the_end_says_whether_a_promise_was_kept(state: State, late: float, stands: PromiseStatus) -> None:
    assert kept_at_the_end(state, after(late), NOW) is stands
