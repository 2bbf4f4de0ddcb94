"""When a worker counts as dead, and what its deaths make of the jobs that it had."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import FINISHED, TRANSITIONS, Event, RetryPolicy, State
from invoicing.jobs.model.losses import Life, Lost, Sign, Watch, judge_loss, life_of

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WORKER = UUID(int=7)
SILENCE = timedelta(seconds=30)
POLICY = RetryPolicy(deaths=2, first_delay=timedelta(seconds=2), longest_delay=timedelta(minutes=10))
LOST = Lost(UUID(int=1), "drill", 3, 1, WORKER, NOW - timedelta(seconds=1), irrevocable=False, cancel_requested=False,
            deaths=())  # fmt: skip
BEFORE = replace(LOST, deaths=(1,))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("lease_over_s", "heard_s", "watched_s", "life"),
    [
        (1, 11, 3600, Life.SILENT),
        (21, 31, 3600, Life.DEAD),
        (21, 31, 29, Life.SILENT),  # the ledger, or whoever watches, came back just now: nobody could be heard
        (21, 2, 3600, Life.LIVES),  # it beats, and did not renew this lease: it never learned of its claim
        (21, 2, 0, Life.LIVES),
        (29, None, 3600, Life.SILENT),  # its registration is gone
        (31, None, 3600, Life.DEAD),
        (31, None, 5, Life.SILENT),
    ],
)
def test_a_worker_is_dead_when_it_was_silent_for_long_while_somebody_listened(
    lease_over_s: float, heard_s: float | None, watched_s: float, life: Life
) -> None:
    signs = {} if heard_s is None else {WORKER: Sign("host-1", ago(heard_s))}
    watch = Watch(signs, timedelta(seconds=watched_s), SILENCE)
    assert life_of(replace(LOST, lease_until=ago(lease_over_s)), watch, NOW) is life


@pytest.mark.parametrize(
    ("lost", "life", "state", "event"),
    [
        (LOST, Life.SILENT, State.QUEUED, Event.RESCUED),
        (LOST, Life.DEAD, State.QUEUED, Event.RESCUED),
        (BEFORE, Life.LIVES, State.QUEUED, Event.RESCUED),
        (BEFORE, Life.DEAD, State.DEAD, Event.DEAD),
        (replace(BEFORE, irrevocable=True), Life.DEAD, State.RETRYING, Event.RETRYING),
        (replace(BEFORE, irrevocable=True), Life.SILENT, State.RETRYING, Event.RETRYING),
        (replace(BEFORE, irrevocable=True), Life.LIVES, State.QUEUED, Event.RESCUED),
        (replace(BEFORE, cancel_requested=True), Life.SILENT, State.CANCELLED, Event.CANCELLED),
        (replace(BEFORE, cancel_requested=True), Life.DEAD, State.CANCELLED, Event.CANCELLED),
    ],
)
def test_a_loss_becomes_a_state(lost: Lost, life: Life, state: State, event: Event) -> None:
    verdict = judge_loss(lost, life, POLICY, 0.0)
    assert verdict is not None
    assert (verdict.state, verdict.event, verdict.failures) == (state, event, 1)


def test_a_job_is_not_blamed_before_the_death_is_proven() -> None:
    assert judge_loss(BEFORE, Life.SILENT, POLICY, 0.0) is None


def test_a_kind_may_bear_more_deaths_or_none() -> None:
    verdicts = [judge_loss(BEFORE, Life.DEAD, RetryPolicy(deaths=deaths), 0.0) for deaths in (1, 2, 3)]
    assert [verdict and verdict.state for verdict in verdicts] == [State.DEAD, State.DEAD, State.QUEUED]
    assert judge_loss(LOST, Life.SILENT, RetryPolicy(deaths=1), 0.0) is None


def test_what_a_customer_is_told_names_the_attempts_and_what_happens_next_but_no_machine() -> None:
    verdict = judge_loss(BEFORE, Life.DEAD, POLICY, 0.0)
    assert verdict is not None
    assert verdict.error is not None
    told = verdict.error.as_json()
    assert (told["code"], verdict.why) == ("poison", "poison")
    assert "2 workers died" in told["message"]
    assert "attempts 1, 3" in told["message"]
    assert str(WORKER) not in str(told)
    assert told["remedy"]


def test_what_cannot_be_undone_is_tried_ever_more_rarely_and_never_given_up() -> None:
    verdicts = [
        judge_loss(replace(LOST, irrevocable=True, deaths=tuple(range(count))), Life.DEAD, POLICY, 0.0)
        for count in (1, 2, 3, 50)
    ]
    assert [verdict and verdict.due_in.total_seconds() for verdict in verdicts] == [2, 4, 8, 600]


@given(
    st.builds(
        replace,
        st.just(LOST),
        irrevocable=st.booleans(),
        cancel_requested=st.booleans(),
        deaths=st.lists(st.integers(1, 9), unique=True, max_size=6).map(tuple),
    ),
    st.sampled_from(Life),
    st.integers(1, 5),
)
def test_any_loss_is_a_legal_step_and_only_a_proven_death_ends_a_job(lost: Lost, life: Life, most: int) -> None:
    verdict = judge_loss(lost, life, RetryPolicy(deaths=most), 0.5)
    if verdict is None:
        assert life is Life.SILENT
        return
    assert verdict.state in TRANSITIONS[State.RUNNING]
    assert verdict.failures == lost.failures
    if verdict.state in FINISHED and not lost.cancel_requested:
        assert life is Life.DEAD
        assert not lost.irrevocable
        assert len(lost.deaths) + 1 >= most
