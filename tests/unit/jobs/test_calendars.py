"""Business hours: a promise never falls due while nobody works, whatever the clocks and the holidays do."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model.calendars import Calendar, OpenTime, due_of, faults_of, next_open, open_hours, span_of

BERLIN = Calendar("Europe/Berlin", time(9), time(17), country="DE", subdivision="BE")
NIGHTS = Calendar("Europe/Berlin", time(1), time(4), frozenset(range(7)))
ALWAYS = Calendar("UTC", time(0), time(0), frozenset(range(7)))
HOUR = timedelta(hours=1)

ZONES = ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
MOMENTS = st.integers(0, 6 * 365 * 86_400).map(lambda s: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
SPANS = st.timedeltas(timedelta(0), timedelta(hours=200))
OPENINGS = st.tuples(st.integers(0, 23), st.integers(1, 24)).filter(lambda hours: hours[0] < hours[1])
CALENDARS = st.builds(
    lambda zone, hours, days, country: Calendar(zone, time(hours[0]), time(hours[1] % 24), days, country),
    st.sampled_from(ZONES),
    OPENINGS,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.sampled_from([None, "DE", "JP"]),
)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


@pytest.mark.parametrize(
    ("accepted", "hours", "due"),
    [
        ("2026-11-30 10:00", 4, "2026-11-30 14:00"),
        ("2026-11-30 10:00", 7, "2026-11-30 17:00"),
        ("2026-11-30 10:00", 8, "2026-12-01 10:00"),
        ("2026-11-30 03:00", 1, "2026-11-30 10:00"),
        ("2026-11-28 12:00", 1, "2026-11-30 10:00"),  # a Saturday
        ("2026-12-24 16:00", 2, "2026-12-28 10:00"),  # Christmas and a weekend
        ("2027-03-07 12:00", 1, "2027-03-09 10:00"),  # Women's Day is a holiday in Berlin, and there alone
        ("2026-03-27 16:00", 2, "2026-03-30 10:00"),  # the clocks go forward in between
        ("2026-10-23 16:00", 2, "2026-10-26 10:00"),  # and back
    ],
)
def test_open_time_is_counted_by_the_clock_of_the_place(accepted: str, hours: int, due: str) -> None:
    assert due_of(berlin(accepted), hours * HOUR, BERLIN) == berlin(due)


@pytest.mark.parametrize(
    ("day", "open_for"),
    [(date(2026, 3, 28), 3), (date(2026, 3, 29), 2), (date(2026, 10, 25), 4), (date(2026, 10, 26), 3)],
)
def test_an_hour_that_the_clocks_leave_out_is_not_worked_and_one_they_repeat_is_worked_twice(
    day: date, open_for: int
) -> None:
    hours = open_hours(NIGHTS, day)
    assert hours is not None
    assert hours[1] - hours[0] == open_for * HOUR


def test_another_region_has_other_holidays() -> None:
    day = date(2027, 3, 8)
    assert open_hours(BERLIN, day) is None
    assert open_hours(Calendar("Europe/Berlin", time(9), time(17), country="DE", subdivision="BY"), day) is not None


def is_open(moment: datetime, calendar: Calendar) -> bool:
    here = moment.astimezone(ZoneInfo(calendar.zone)).date()
    days = (open_hours(calendar, here + timedelta(days=away)) for away in (-1, 0, 1))
    return any(hours[0] <= moment <= hours[1] for hours in days if hours is not None)


@given(MOMENTS, SPANS, CALENDARS)
def test_a_promise_is_never_due_in_closed_time_nor_sooner_than_by_the_clock(
    accepted: datetime, span: timedelta, calendar: Calendar
) -> None:
    due = due_of(accepted, span, calendar)
    assert is_open(due, calendar)
    assert due - accepted >= span
    assert next_open(due, calendar) == due


@given(MOMENTS, SPANS, CALENDARS, st.timedeltas(timedelta(0), timedelta(days=10)), SPANS)
def test_who_comes_later_or_is_promised_more_time_is_due_no_sooner(
    accepted: datetime, span: timedelta, calendar: Calendar, later: timedelta, more: timedelta
) -> None:
    due = due_of(accepted, span, calendar)
    assert due_of(accepted + later, span, calendar) >= due
    assert due_of(accepted, span + more, calendar) >= due


@given(MOMENTS, SPANS, CALENDARS, SPANS)
def test_time_counted_in_two_parts_is_time_counted_at_once(
    accepted: datetime, span: timedelta, calendar: Calendar, more: timedelta
) -> None:
    assert due_of(due_of(accepted, span, calendar), more, calendar) == due_of(accepted, span + more, calendar)


@given(MOMENTS, SPANS)
def test_a_calendar_that_is_always_open_is_the_clock(accepted: datetime, span: timedelta) -> None:
    assert due_of(accepted, span, ALWAYS) == due_of(accepted, span, None) == accepted + span


@given(CALENDARS)
def test_a_calendar_is_read_as_it_was_stored(calendar: Calendar) -> None:
    assert Calendar.of_json(calendar.as_json()) == calendar
    assert faults_of(calendar) is None
    assert span_of(OpenTime(HOUR, calendar)) == span_of(HOUR)


@pytest.mark.parametrize(
    ("calendar", "says"),
    [
        (Calendar("Europe/Nowhere", time(9), time(17)), "time zone"),
        (Calendar("../../etc/passwd", time(9), time(17)), "time zone"),
        (Calendar("UTC", time(9), time(17), country="XX"), "holidays of 'XX'"),
        (Calendar("UTC", time(9), time(17), country="DE", subdivision="ZZ"), "holidays of 'DE-ZZ'"),
        (Calendar("UTC", time(9), time(9)), "before it opens"),
        (Calendar("UTC", time(9), time(17), frozenset({7})), "weekdays"),
        (Calendar("UTC", time(9), time(17), subdivision="BE"), "of a country"),
    ],
)
def test_a_calendar_that_makes_no_sense_says_why(calendar: Calendar, says: str) -> None:
    assert says in (faults_of(calendar) or "")


def test_a_calendar_that_hardly_opens_promises_nothing() -> None:
    with pytest.raises(ValueError, match="not open long enough"):
        due_of(berlin("2026-11-30 10:00"), 10_000 * HOUR, Calendar("UTC", time(9), time(10), frozenset({0})))
