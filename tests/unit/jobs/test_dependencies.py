"""When something outside is taken to be down, who tries it, and when it is there again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model import (
    Breaker,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Rejected,
    RetryPolicy,
    Said,
    State,
    Succeeded,
    declared,
    judge,
    said_of,
    spared,
)
from invoicing.jobs.model.dependencies import (
    FIRST_WAIT,
    LONGEST_ASKED,
    LONGEST_WAIT,
    OPENS_AFTER,
    PATIENCE,
    Sign,
    failed,
    heard,
    may_try,
    pause_after,
    worked,
)

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DOWN, WORKS = Said(down="gate", title="the gate", error="gate_down"), Said(works=("gate",))
FRESH = Breaker("gate", "the gate")
OPEN = replace(FRESH, failures=3, error="gate_down", failed_at=NOON, opened_at=NOON, next_try_at=NOON + FIRST_WAIT)
ERROR = JobError("gate_down", "It does not answer.")
POLICY = RetryPolicy(max_attempts=3)


def after(*said: Said, breaker: Breaker = FRESH) -> Breaker:
    """Let attempts end one after the other, a second apart; each began when the one before it ended."""
    for number, one in enumerate(said, 1):
        at = NOON + number * SECOND
        breaker = heard({"gate": breaker}, [Sign(one, uuid4(), 1, at - SECOND)], at)["gate"]
    return breaker


def test_so_many_failures_in_a_row_open_it_and_a_success_between_begins_the_count_anew() -> None:
    assert after(*[DOWN] * (OPENS_AFTER - 1)).opened_at is None
    opened = after(*[DOWN] * OPENS_AFTER)
    assert opened.opened_at == NOON + OPENS_AFTER * SECOND
    assert opened.failed_at == NOON + SECOND
    assert opened.next_try_at == opened.opened_at + FIRST_WAIT
    assert after(*[DOWN] * (OPENS_AFTER - 1), WORKS, DOWN).failures == 1
    assert after(*[DOWN] * (OPENS_AFTER - 1), WORKS) == FRESH


def test_only_what_began_after_it_was_found_down_proves_that_it_is_there_again() -> None:
    assert worked(OPEN, NOON - SECOND) == OPEN
    assert worked(OPEN, NOON) == FRESH


def test_of_ends_that_are_written_together_a_success_has_the_last_word() -> None:
    signs = [Sign(said, uuid4(), 1, NOON) for said in (WORKS, DOWN, DOWN, DOWN)]
    assert heard({"gate": FRESH}, signs, NOON)["gate"] == FRESH


def test_each_try_that_fails_has_the_next_wait_twice_as_long_up_to_a_bound() -> None:
    waits = []
    breaker = OPEN
    for number in range(1, 12):
        breaker = replace(breaker, tries=number, job_id=UUID(int=number), attempt=1, tried_at=NOON, trying=True)
        (breaker,) = heard({"gate": breaker}, [Sign(DOWN, UUID(int=number), 1, NOON)], NOON).values()
        assert not breaker.trying
        assert breaker.next_try_at is not None
        waits.append(breaker.next_try_at - NOON)
    assert waits == [pause_after(number) for number in range(1, 12)]
    assert waits[0] == 2 * FIRST_WAIT
    assert waits[-1] == LONGEST_WAIT


def test_a_failure_of_whoever_was_on_the_way_puts_no_try_off() -> None:
    assert after(DOWN, breaker=OPEN).next_try_at == OPEN.next_try_at


@pytest.mark.parametrize(
    ("asked", "wait"),
    [(timedelta(0), FIRST_WAIT), (40 * SECOND, 40 * SECOND), (timedelta(days=9), LONGEST_ASKED)],
)
def test_it_is_left_alone_for_as_long_as_it_asks_within_reason(asked: timedelta, wait: timedelta) -> None:
    one = failed(replace(FRESH, failures=2), replace(DOWN, retry_after=asked), NOON, tried=False)
    assert one.next_try_at == NOON + wait


def test_one_at_a_time_tries_it_once_its_time_has_come_and_one_that_never_ends_is_waited_for_no_longer() -> None:
    assert may_try(FRESH, NOON)
    assert not may_try(OPEN, NOON + FIRST_WAIT - SECOND)
    assert may_try(OPEN, NOON + FIRST_WAIT)
    trying = replace(OPEN, tries=1, tried_at=NOON, trying=True)
    assert not may_try(trying, NOON + PATIENCE - SECOND)
    assert may_try(trying, NOON + PATIENCE)
    late = replace(trying, tried_at=NOON + timedelta(hours=1))
    assert not may_try(late, NOON + timedelta(hours=1) + PATIENCE), "an outage of an hour: each holds a slot"


@given(st.lists(st.sampled_from([DOWN, WORKS, replace(DOWN, retry_after=300 * SECOND)]), max_size=30))
def test_whatever_is_said_an_open_one_has_a_next_try_and_one_that_is_closed_has_none(said: list[Said]) -> None:
    breaker = after(*said)
    assert (breaker.opened_at is None) == (breaker.next_try_at is None)
    assert (breaker.opened_at is None) == (breaker.failures < OPENS_AFTER)


FAILED = Failed(ERROR, dependency="gate")


def test_whoever_meets_an_outage_with_its_last_attempt_lives_to_see_it_found() -> None:
    failures = POLICY.max_attempts - 1
    assert judge(Failed(ERROR), failures, POLICY, 0.0).state is State.DEAD
    for _ in range(OPENS_AFTER - 1):
        verdict = judge(FAILED, failures, POLICY, 0.0)
        assert verdict.state is State.RETRYING
        failures = verdict.failures
    assert judge(FAILED, failures, POLICY, 0.0).state is State.DEAD, "it is not down: only this job fails"
    found_down = spared(FAILED, failures, POLICY)
    assert found_down is not None
    assert (found_down.state, found_down.failures) == (State.RETRYING, POLICY.max_attempts - 1)


@pytest.mark.parametrize("outcome", [Failed(ERROR), Rejected(ERROR), Interrupted("drain"), Succeeded({})])
def test_an_outage_spares_nothing_else(outcome: Outcome) -> None:
    assert spared(outcome, 0, POLICY) is None


def test_what_an_end_says_of_what_it_needed() -> None:
    titles = {"gate": "the gate"}
    assert said_of(Succeeded({}), "archive gate", titles) == Said(works=("archive", "gate"))
    assert said_of(FAILED, "gate", titles) == DOWN
    for outcome in (Failed(ERROR), Rejected(ERROR), Interrupted("yield")):
        assert said_of(outcome, "gate", titles) is None
    assert said_of(Succeeded({}), "", titles) is None
    assert declared(FAILED, "archive") == Failed(ERROR), "it did not say that it needs it"
    assert declared(FAILED, "archive gate") == FAILED


class Order(BaseModel):
    """What is asked for."""

    by_post: bool = True


def kind(**changed: object) -> JobKind:
    async def perform(_job: object, _order: Order) -> Outcome:
        return Succeeded({})

    needs = {"dependencies": {"post": "the post", "gate": "the gate"}, **changed}
    return JobKind(name="order", title="Order", payload=Order, size=lambda *_: 1.0, perform=perform, **needs)  # type: ignore[arg-type]  # what is tried


def test_a_job_needs_all_that_its_kind_declares_unless_it_picks() -> None:
    assert kind().needed(Order()) == "gate post"
    picks = kind(needs=lambda order: ["post", "moon"] if order.by_post else ())
    assert (picks.needed(Order()), picks.needed(Order(by_post=False))) == ("post", "")
    assert kind(dependencies={}).needed(Order()) == ""


@pytest.mark.parametrize("name", ["", "two words", "a,b", "a:b", "+a", "Gate", "x" * 64])
def test_a_name_that_cannot_travel_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="dependency"):
        kind(dependencies={name: "something"})
