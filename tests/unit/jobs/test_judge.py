"""What an outcome makes of a job."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import (
    FINISHED,
    TRANSITIONS,
    WAITING,
    Cancelled,
    Event,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Rejected,
    RetryPolicy,
    Size,
    State,
    Succeeded,
    judge,
)

ERROR = JobError("broken", "It broke.")
POLICY = RetryPolicy(max_attempts=3)
FAILED = Failed(ERROR)


@pytest.mark.parametrize(
    ("outcome", "failures", "state", "event", "counted"),
    [
        (Succeeded({}), 0, State.SUCCEEDED, Event.SUCCEEDED, 0),
        (Succeeded({}), 2, State.SUCCEEDED, Event.SUCCEEDED, 2),
        (Rejected(ERROR), 0, State.DEAD, Event.DEAD, 1),
        (Rejected(ERROR), 2, State.DEAD, Event.DEAD, 3),
        (FAILED, 0, State.RETRYING, Event.RETRYING, 1),
        (FAILED, 1, State.RETRYING, Event.RETRYING, 2),
        (FAILED, 2, State.DEAD, Event.DEAD, 3),
        (FAILED, 7, State.DEAD, Event.DEAD, 8),  # the policy was made stricter meanwhile
        (Interrupted("drain"), 0, State.QUEUED, Event.INTERRUPTED, 0),
        (Interrupted("drain"), 2, State.QUEUED, Event.INTERRUPTED, 2),
        (Cancelled(), 0, State.CANCELLED, Event.CANCELLED, 0),
        (Cancelled(), 2, State.CANCELLED, Event.CANCELLED, 2),
    ],
)
def test_an_outcome_becomes_a_state(outcome: Outcome, failures: int, state: State, event: Event, counted: int) -> None:
    verdict = judge(outcome, failures, POLICY, 0.0)
    assert (verdict.state, verdict.event, verdict.failures) == (state, event, counted)


def test_the_reader_of_a_finished_job_gets_its_result_or_its_error() -> None:
    assert judge(Succeeded({"number": "7"}), 0, POLICY, 0.0).result == {"number": "7"}
    assert judge(Rejected(ERROR), 0, POLICY, 0.0).error == ERROR
    assert judge(FAILED, 0, POLICY, 0.0).error == ERROR


def test_an_interrupted_job_goes_on_at_once_in_the_class_that_it_turned_out_to_belong_to() -> None:
    verdict = judge(Interrupted("yield", Size.LARGE), 1, POLICY, 0.9)
    assert (verdict.size, verdict.why, verdict.due_in) == (Size.LARGE, "yield", timedelta(0))


def test_a_dependency_that_asks_for_more_time_gets_it_and_one_that_asks_for_less_does_not() -> None:
    asked = [judge(Failed(ERROR, timedelta(seconds=s)), 0, POLICY, 0.0).due_in for s in (0, 1, 3600)]
    assert asked == [timedelta(seconds=2), timedelta(seconds=2), timedelta(hours=1)]


outcomes = st.one_of(
    st.builds(Succeeded, st.just({})),
    st.builds(Rejected, st.just(ERROR)),
    st.builds(Failed, st.just(ERROR), st.none() | st.timedeltas(timedelta(0), timedelta(days=30))),
    st.builds(Interrupted, st.text(), st.none() | st.sampled_from(Size)),
    st.just(Cancelled()),
)
jitters = st.floats(0, 1, exclude_max=True)


def test_what_would_die_has_a_wait_in_case_that_it_may_not_die() -> None:
    waits = [judge(FAILED, failures, POLICY, 0.0).due_in for failures in (2, 3, 4)]
    assert waits == [POLICY.delay_after(failures, 0.0) for failures in (3, 4, 5)]
    assert judge(Rejected(ERROR), 0, POLICY, 0.0).due_in == POLICY.delay_after(1, 0.0)


@given(outcomes, st.integers(0, 50), st.integers(1, 20), jitters)
def test_any_verdict_is_a_transition_of_a_running_job_and_never_forgets_a_failure(
    outcome: Outcome, failures: int, most: int, jitter: float
) -> None:
    verdict = judge(outcome, failures, RetryPolicy(max_attempts=most), jitter)
    assert verdict.state in TRANSITIONS[State.RUNNING]
    assert failures <= verdict.failures <= failures + 1
    assert verdict.due_in >= timedelta(0)
    assert (verdict.state in FINISHED) != (verdict.state in WAITING)
    assert (verdict.state is State.SUCCEEDED) == isinstance(outcome, Succeeded)
    assert verdict.state is not State.RETRYING or verdict.failures < most


@given(st.integers(1, 200), jitters)
def test_the_wait_grows_with_each_failure_up_to_its_longest_and_is_spread_by_at_most_half(
    failures: int, jitter: float
) -> None:
    policy = RetryPolicy(first_delay=timedelta(seconds=2), longest_delay=timedelta(minutes=10))
    plain = policy.delay_after(failures, 0.0)
    assert timedelta(seconds=2) <= plain <= timedelta(minutes=10)
    assert plain <= policy.delay_after(failures + 1, 0.0)
    assert plain <= policy.delay_after(failures, jitter) <= plain * 1.5


def test_the_first_waits_are_what_a_person_would_compute() -> None:
    seconds = [RetryPolicy().delay_after(failures, 0.0).total_seconds() for failures in (1, 2, 3, 4, 20)]
    assert seconds == [2, 4, 8, 16, 600]
