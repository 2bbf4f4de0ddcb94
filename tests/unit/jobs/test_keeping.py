"""How long finished jobs are kept: never shorter than law, kind and contract say, wherever the year ends."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.app import load_kinds
from invoicing.jobs import retention
from invoicing.jobs.model.keeping import KEYS_KEPT, Keep, KeepError, Period, Unit, agreed, changes

TEN_YEARS = Period.read("10y")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - made aware
PERIODS = st.builds(Period, st.integers(1, 40), st.just(Unit.YEARS)) | st.builds(
    Period, st.integers(1, 15_000), st.just(Unit.DAYS)
)


@pytest.mark.parametrize(
    ("ended", "kept_on", "gone_on"),
    [
        ("2026-01-01T12:00Z", "2036-12-31T23:59Z", "2037-01-01T12:01Z"),
        ("2026-11-22T10:00Z", "2036-12-31T23:59Z", "2037-01-01T12:01Z"),
        ("2026-12-31T23:30Z", "2037-12-31T23:59Z", "2038-01-01T12:01Z"),  # in Berlin this is 2027 already
    ],
)
def test_an_invoice_is_kept_until_the_tenth_year_after_its_own_is_over(ended: str, kept_on: str, gone_on: str) -> None:
    moment, kept, gone = (datetime.fromisoformat(text) for text in (ended, kept_on, gone_on))
    assert not moment < TEN_YEARS.over_before(kept)
    assert moment < TEN_YEARS.over_before(gone)


@given(MOMENTS, MOMENTS, st.integers(-12, 14), st.integers(1, 30))
def test_years_are_whole_ones_in_every_zone(ended: datetime, now: datetime, zone: int, years: int) -> None:
    there = timezone(timedelta(hours=zone))
    if ended < Period(years, Unit.YEARS).over_before(now):
        assert now.astimezone(there).year > ended.astimezone(there).year + years


@given(PERIODS, PERIODS, MOMENTS)
def test_what_covers_a_period_never_ends_before_it(one: Period, other: Period, now: datetime) -> None:
    if one.covers(other):
        assert one.over_before(now) <= other.over_before(now)


@given(PERIODS)
def test_a_period_is_written_as_it_is_read(period: Period) -> None:
    assert Period.read(str(period)) == period
    assert period.covers(period)


@pytest.mark.parametrize("text", ["", "10", "y", "0d", "-5d", "1.5y", "10 years", "5000y", "٣d"])
def test_what_is_no_period_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(KeepError, match="for example 90d or 10y"):
        Period.read(text)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("invoice.issue=8y", "10y at least"),
        ("invoice.issue=3652d", "10y at least"),
        ("invoice.issue=12y/7d", "30d at least"),
        ("drill=29d", "30d at least"),
        ("invoice.isue=12y", "there are drill, invoice.issue"),
        ("drill=30d,drill=60d", "named twice"),
        ("drill", "for example"),
        ("drill=ever", "'ever'"),
    ],
)
def test_a_setting_that_keeps_too_little_or_means_nothing_is_refused(setting: str, says: str) -> None:
    with pytest.raises(KeepError, match=says):
        retention.rules(load_kinds(drills=True), setting)


def test_a_setting_lengthens_and_shortens_what_kinds_say() -> None:
    kinds = load_kinds(drills=True)
    usual = {(rule.kind.name, rule.ended): str(rule.period) for rule in retention.rules(kinds)}
    changed = {
        (rule.kind.name, rule.ended): str(rule.period)
        for rule in retention.rules(kinds, "invoice.issue=12y, drill=60d/30d")
    }
    succeeded, unsuccessful = retention.Ended
    assert usual["invoice.issue", succeeded] == "10y"
    assert usual["invoice.issue", unsuccessful] == usual["drill", succeeded] == usual["drill", unsuccessful] == "90d"
    assert changed["invoice.issue", succeeded] == "12y"
    assert changed["invoice.issue", unsuccessful] == "90d"
    assert (changed["drill", succeeded], changed["drill", unsuccessful]) == ("60d", "30d")


def test_no_kind_may_forget_a_job_before_its_idempotency_key() -> None:
    """Else the same request, sent again in time, would be carried out a second time."""
    assert str(KEYS_KEPT) == "30d"
    with pytest.raises(KeepError, match="30d at least"):
        agreed("quick", Keep.of("7d"), Keep.of("1d", "1d"))


def test_a_setting_may_name_nothing() -> None:
    assert changes("") == changes(" , ") == {}
