"""A customer that is paused: what its jobs say of it, and that no other's do."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from invoicing.diagnosis.model.causes import examine
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.eta import earliest_start, expect
from invoicing.diagnosis.words import Audience, codes, say, tell

from .situations import CUSTOMER, LANE, NOBODY, NOW, ago, busy, cause, facts, learned, on_hold, paused, queued, waiting


@pytest.mark.parametrize(
    ("around", "scope", "until"),
    [
        (on_hold(), "customer", 600),
        (on_hold(600) | paused(30), "customer", 600),
        (on_hold(30) | paused(600), "lane", 600),
        (on_hold() | busy() | queued(3), "customer", 600),
        (on_hold() | NOBODY, "customer", 600),
    ],
)
def test_of_the_pauses_of_lane_and_customer_the_one_that_ends_last_is_told(
    around: dict[str, Any], scope: str, until: float
) -> None:
    shown = cause(waiting(60), around)
    assert (shown.code, shown.evidence["scope"], shown.until) == (Code.PAUSED, scope, ago(-until))
    assert (shown.evidence["by"], shown.since) == ("operations", ago(30))
    assert "Mustermann" not in repr(shown)


@pytest.mark.parametrize("around", [on_hold(until=-1), {"customer_pauses": {}}])
def test_a_pause_that_is_over_holds_nothing(around: dict[str, Any]) -> None:
    assert cause(waiting(1), around).code is Code.STARTING


def test_no_other_customers_job_is_touched() -> None:
    own = on_hold()["customer_pauses"][CUSTOMER]
    other = waiting(1, customer_id=UUID(int=5))
    assert cause(other, {"customer_pauses": {CUSTOMER: own}}).code is Code.STARTING


def test_what_is_held_back_is_not_said_to_be_about_to_start_beside_it() -> None:
    assert [check.code for check in examine(facts(waiting(0.1), on_hold())) if check.holds] == [Code.PAUSED]


def test_its_end_is_expected_after_the_pause() -> None:
    known = facts(waiting(60), on_hold(600) | paused(30) | learned(9))
    shown = cause(waiting(60), on_hold(600) | paused(30) | learned(9))
    until = NOW + timedelta(seconds=600)
    assert earliest_start(known, shown) == until
    eta = expect(known, shown)
    assert eta is not None
    assert eta.earliest > until


def test_what_is_due_later_waits_for_the_pause_that_lasts_longer() -> None:
    later = waiting(due_at=ago(-60))
    shown = cause(later, on_hold(600))
    assert (shown.code, shown.until) == (Code.PAUSED, ago(-600))


@pytest.mark.parametrize("language", codes())
def test_its_customer_reads_why_until_when_and_that_all_goes_on(language: str) -> None:
    shown = cause(waiting(60), on_hold())
    told = tell(shown, language, Audience.CUSTOMER)
    assert "You asked us to." in told.message
    assert "12:10:00" in told.message
    assert "12:10:00" in told.next
    assert LANE.name not in told.message + told.next + told.who
    assert say(shown, language) != say(cause(waiting(60), paused()), language)
