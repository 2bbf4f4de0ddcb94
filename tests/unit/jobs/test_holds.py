"""Periods begin by the calendar of a place, places are given in order, and a review looks at what a rule is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model.holds import (
    EVERYBODY,
    SECONDS,
    Period,
    Quota,
    ReviewRule,
    period_start,
    review_of,
    rules_for,
    seats,
)
from invoicing.jobs.model.money import Money

ACME = UUID(int=7)
ZONES = ("UTC", "Asia/Shanghai", "America/Sao_Paulo", "Pacific/Kiritimati", "Europe/Berlin")
MOMENTS = st.datetimes(datetime(2010, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def quota(most: int | None = 3, used: int = 0, waiting: int = 0, period: Period = Period.DAY) -> Quota:
    begun = period_start(period, "Asia/Shanghai", at("2026-11-30T12:00:00Z"))
    return Quota(UUID(int=1), ACME, "drill", most, period, "Asia/Shanghai", begun, used, waiting)


@pytest.mark.parametrize(
    ("period", "zone", "moment", "later", "begins"),
    [
        (Period.DAY, "Asia/Shanghai", "2026-11-30T15:59:59Z", 0, "2026-11-29T16:00:00Z"),
        (Period.DAY, "Asia/Shanghai", "2026-11-30T16:00:00Z", 0, "2026-11-30T16:00:00Z"),
        (Period.MONTH, "Asia/Shanghai", "2026-11-30T16:00:00Z", 0, "2026-11-30T16:00:00Z"),
        (Period.MONTH, "UTC", "2026-11-30T16:00:00Z", 2, "2027-01-01T00:00:00Z"),
        (Period.DAY, "Europe/Berlin", "2026-10-25T12:00:00Z", 1, "2026-10-25T23:00:00Z"),
    ],
)
def test_a_period_begins_at_midnight_of_its_place(
    period: Period, zone: str, moment: str, later: int, begins: str
) -> None:
    assert period_start(period, zone, at(moment), later) == at(begins)


@given(MOMENTS, st.sampled_from(Period), st.sampled_from(ZONES), st.integers(0, 30))
def test_every_moment_is_in_exactly_one_period(moment: datetime, period: Period, zone: str, later: int) -> None:
    begun, ends = period_start(period, zone, moment), period_start(period, zone, moment, 1)
    assert begun <= moment < ends
    assert period_start(period, zone, begun) == begun
    assert period_start(period, zone, ends) == ends
    assert period_start(period, zone, begun, later) == period_start(period, zone, moment, later)


def test_in_a_new_period_all_places_are_free_and_who_waits_still_waits() -> None:
    full = quota(used=3, waiting=5)
    assert full.at(full.resets_at - timedelta(microseconds=1)) is full
    turned = full.at(full.resets_at)
    assert (turned.used, turned.free, turned.waiting, turned.begun_at) == (0, 3, 5, full.resets_at)
    assert turned.at(full.begun_at) is turned, "a clock that is behind takes nothing back"


@given(st.integers(1, 9), st.integers(0, 12), st.integers(0, 40), st.integers(0, 30))
def test_places_are_given_once_and_turns_come_in_order(most: int, used: int, waiting: int, count: int) -> None:
    before = quota(most, used, waiting)
    given = list(seats(before, count))
    assert len(given) == count
    placed = sum(not seat.held for seat in given)
    assert placed == (0 if waiting else min(count, before.free))
    turns = [seat.turn_at or before.begun_at for seat in given if seat.held]
    assert turns == sorted(turns)
    for begins in set(turns) - {before.begun_at}:
        assert turns.count(begins) <= most, "no more than there are places in it"


def test_of_a_quota_that_has_ended_everybody_may_go() -> None:
    assert quota(most=None, used=9, waiting=4).free == 4
    assert quota(most=None, waiting=4).turn_of(3) is None


RULE = ReviewRule(EVERYBODY, "drill", "CNY", Decimal(10_000), "a board", timedelta(hours=4))
LONG = replace(RULE, measure=SECONDS, threshold=Decimal(60))
OWN = replace(RULE, customer_id=ACME, threshold=Decimal(50_000))
BOOK = {(EVERYBODY, "drill"): {"CNY": RULE, SECONDS: LONG}, (ACME, "drill"): {"CNY": OWN}}


@pytest.mark.parametrize(
    ("seconds", "amount", "currency", "reviewed"),
    [
        (1.0, "10000.00", "CNY", None),
        (1.0, "10000.01", "CNY", "CNY"),
        (1.0, "99999.00", "EUR", None),
        (60.0, "1.00", "CNY", None),
        (60.1, "1.00", "EUR", SECONDS),
        (60.1, None, None, SECONDS),
    ],
)
def test_what_is_above_a_rule_of_its_own_measure_is_reviewed(
    seconds: float, amount: str | None, currency: str | None, reviewed: str | None
) -> None:
    money = Money(Decimal(amount), currency) if amount and currency else None
    found = review_of(rules_for(BOOK, UUID(int=8), "drill"), seconds, money)
    assert (found and found.rule.measure) == reviewed


def test_a_customers_own_rule_takes_the_place_of_that_for_everybody_about_the_same_measure() -> None:
    own = rules_for(BOOK, ACME, "drill")
    assert (own["CNY"], own[SECONDS]) == (OWN, LONG)
    assert rules_for(BOOK, ACME, "invoice.issue") == {}
