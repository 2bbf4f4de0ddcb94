"""What a worker and its children say to each other arrives as it was meant, and garbage is never a success."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import (
    Cancelled,
    Claim,
    Failed,
    Interrupted,
    JobError,
    Outcome,
    Priority,
    Rejected,
    Size,
    Succeeded,
)
from invoicing.kit.ids import new_id
from workers.messages import (
    Surroundings,
    attempt_of,
    claims_of,
    line,
    outcome_message,
    outcome_of,
    perform_message,
    read,
    stop_message,
    surroundings_of,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)
errors = st.builds(
    JobError,
    texts.filter(bool),
    texts.filter(bool),
    st.none() | texts.filter(bool),
    st.none() | texts.filter(bool),
    st.none() | texts.filter(bool),
    st.lists(st.dictionaries(texts, texts, min_size=1), max_size=2).map(tuple),
)
outcomes: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Succeeded, st.dictionaries(texts, values, max_size=4)),
    st.builds(Rejected, errors),
    st.builds(Failed, errors, st.none() | st.integers(0, 10**6).map(lambda ms: timedelta(milliseconds=ms))),
    st.builds(Interrupted, texts, st.none() | st.sampled_from(Size)),
    st.just(Cancelled()),
)


@given(outcomes)
def test_an_outcome_arrives_as_it_was_meant(outcome: Outcome) -> None:
    said = line(outcome_message(outcome))
    assert said.count(b"\n") == 1
    assert outcome_of(read(said)) == outcome


@given(st.dictionaries(st.sampled_from(["outcome", "error", "why", "size", "retry_after_s"]) | texts, values))
def test_garbage_is_a_failure_and_never_a_success(message: dict[str, Any]) -> None:
    assert not isinstance(outcome_of(message), Succeeded)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"outcome": "succeeded"},
        {"outcome": "succeeded", "result": None},
        {"outcome": "succeeded", "result": [1]},
        {"outcome": "SUCCEEDED", "result": {}},
        {"outcome": "failed", "error": {"surprise": 1}, "retry_after_s": None},
        {"outcome": "failed", "error": {"code": "c", "message": "m"}, "retry_after_s": "soon"},
        {"outcome": "failed", "error": {"code": "c", "message": "m"}, "retry_after_s": 1e300},
        {"outcome": "interrupted", "why": "drain", "size": "gigantic"},
        {"outcome": "rejected", "error": {"code": "c", "message": "m", "findings": 7}},
    ],
)
def test_an_outcome_that_says_too_little_or_too_much_is_a_failure(message: dict[str, Any]) -> None:
    outcome = outcome_of(message)
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "unknown_outcome"


def test_a_child_gets_the_attempts_and_its_surroundings_as_they_are() -> None:
    request = '{"kind": "drill", "payload": {"text": "✓"}}'.encode()
    small = Claim(
        new_id(), new_id(), "drill", "PO-7 ✓", 3, 1, Priority.URGENT, Size.SMALL, 0.01, cancel_requested=True,
        body=request, saved={"chunk": 7},
    )  # fmt: skip
    huge = replace(small, size=Size.HUGE, body=None, saved=None, split=True)
    around = Surroundings("postgresql://u:p@h/d", drills=True, settings={"rules_dir": "/x"})
    assert claims_of(read(line(perform_message([small, huge])))) == [small, huge]
    assert surroundings_of(read(line(vars(around)))) == around


@pytest.mark.parametrize("why", ["cancel", None])
def test_an_order_to_stop_names_its_attempt(why: str | None) -> None:
    job_id = new_id()
    message = read(line(stop_message((job_id, 4), why)))
    assert (attempt_of(message), message["stop"]) == ((job_id, 4), why)
