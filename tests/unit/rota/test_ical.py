"""On-call calendars: what is written is read back alike, and what comes from outside is read or refused by name."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest
from dateutil.rrule import DAILY, MONTHLY, WEEKLY, YEARLY, rrule, weekday
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from invoicing.rota import ical
from invoicing.rota.ical import IcalError
from invoicing.rota.model import Override, Person, Rota, Shift, spans
from invoicing.rota.model.recurrence import Recurrence, RecurrenceError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
EVERY_DAY = frozenset(range(7))
PEOPLE = tuple(Person(name, name.title(), f"{name}@example.com") for name in ("ann", "bob", "cyd"))
ROTA = Rota(
    PEOPLE,
    (
        Shift(("ann", "bob"), "Europe/Berlin", time(8), time(20), EVERY_DAY, since=date(2026, 11, 2)),
        Shift(("bob", "cyd"), "Europe/Berlin", time(20), time(8), EVERY_DAY, since=date(2026, 11, 2)),
        Shift(("cyd",), "America/New_York", time(9), time(17), frozenset(range(5)), 2, "US"),
    ),
    overrides=(Override(UUID(int=7), NOW + timedelta(days=2), NOW + timedelta(days=4), "cyd", "ann"),),
)
BARE = Rota(PEOPLE, (replace(ROTA.shifts[0], until=date(2026, 11, 3)),))


def calendar(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\n{event}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def begun(text: bytes, rota: Rota = BARE) -> list[tuple[str, str]]:
    read = ical.read(text, rota, NOW)
    assert list(read.skipped) == []
    return [(one.person, f"{one.begins:%m-%d %H:%M}") for one in read.duties]


def test_what_is_written_is_read_alike_and_has_its_time_zones() -> None:
    begins, ends = NOW, datetime(2027, 4, 30, tzinfo=UTC)  # over a change of the clock
    text = ical.written(ROTA, begins, ends, NOW)
    assert [zone["TZID"] for zone in Calendar.from_ical(text).walk("VTIMEZONE")] == ["Europe/Berlin"]
    read = ical.read(text, BARE, NOW)
    assert read.skipped == []
    duties = tuple(
        Override(UUID(int=place), one.begins, one.ends, one.person, None, one.level)
        for place, one in enumerate(read.duties)
    )
    assert spans(replace(BARE, overrides=duties), begins, ends) == spans(ROTA, begins, ends)


NIGHT = (
    "UID:a\nSUMMARY:On call: Ann\nDTSTART;TZID=Europe/Berlin:20261130T200000\nDTEND;TZID=Europe/Berlin:20261201T080000"
)


def test_recurring_events_leave_out_and_change_single_times() -> None:
    changed = (
        "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20261203T200000\nATTENDEE:mailto:BOB@example.com\n"
        "SUMMARY:swapped\nDTSTART;TZID=Europe/Berlin:20261203T210000\nDTEND;TZID=Europe/Berlin:20261204T080000"
    )
    gone = (
        "UID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20261204T200000\nSTATUS:CANCELLED\nSUMMARY:Ann\n"
        "DTSTART;TZID=Europe/Berlin:20261204T200000\nDTEND;TZID=Europe/Berlin:20261205T080000"
    )
    rule = "RRULE:FREQ=DAILY;UNTIL=20261205T190000Z\nEXDATE;TZID=Europe/Berlin:20261201T200000\nRDATE:20261220T190000Z"
    assert begun(calendar(f"{NIGHT}\n{rule}", changed, gone)) == [
        ("ann", "11-30 19:00"),
        ("ann", "12-02 19:00"),
        ("bob", "12-03 20:00"),
        ("ann", "12-05 19:00"),
        ("ann", "12-20 19:00"),
    ]


def test_a_recurring_night_keeps_its_clock_when_the_clocks_change() -> None:
    rule = f"{NIGHT}\nRRULE:FREQ=WEEKLY;BYDAY=SA"
    duties = {f"{one.begins:%m-%d}": one for one in ical.read(calendar(rule), BARE, NOW).duties}
    hours = {
        day: (f"{duties[day].begins:%H}", (duties[day].ends - duties[day].begins).seconds / 3600) for day in duties
    }
    assert (hours["03-20"], hours["03-27"], hours["04-03"]) == (("19", 12.0), ("19", 11.0), ("18", 12.0))


def test_whole_days_and_times_without_a_zone_are_the_rotas() -> None:
    whole = "UID:b\nSUMMARY:bob@example.com\nDTSTART;VALUE=DATE:20261205\nDTEND;VALUE=DATE:20261207"
    floating = "UID:c\nSUMMARY:cyd\nDTSTART:20261210T090000\nDURATION:PT8H"
    assert begun(calendar(whole, floating)) == [("bob", "12-04 23:00"), ("cyd", "12-10 08:00")]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (NIGHT.replace("Ann", "Dan"), "names nobody"),
        (f"{NIGHT}\nRRULE:FREQ=SECONDLY", "must be DAILY"),
        (f"{NIGHT}\nRRULE:FREQ=DAILY;BYHOUR=1\\,2", "BYHOUR"),
        (f"{NIGHT}\nRRULE:FREQ=WEEKLY;BYDAY=2TU", "one of a month"),
        (NIGHT.replace("20261130T200000", "19700101T200000"), "before the year 2000"),
        (NIGHT.replace("20261201T080000", "20261130T080000"), "end after it begins"),
        (NIGHT.replace("20261201T080000", "20271201T080000"), "within a month"),
        (f"{NIGHT}\nX-INVOICING-LEVEL:eleven", "level"),
        ("UID:z\nSUMMARY:Ann", "no beginning"),
        (NIGHT.replace("20261130T200000", "20269930T990000"), ""),
    ],
)
def test_an_event_that_says_nothing_usable_is_named_and_the_others_are_read(event: str, why: str) -> None:
    read = ical.read(calendar(event, NIGHT.replace("UID:a", "UID:b")), BARE, NOW)
    (skipped,) = read.skipped
    assert why in skipped
    assert [one.uid for one in read.duties] == ["b"]


@pytest.mark.parametrize(
    "text", [b"", b"BEGIN:VCALENDAR", b"\xff\x00\xfe", b"hello: world", b"BEGIN:VEVENT\r\nEND:X\r\n"]
)
def test_what_is_no_calendar_is_refused(text: bytes) -> None:
    try:
        assert ical.read(text, BARE, NOW).duties == []
    except IcalError:
        return


def test_too_much_is_refused_and_what_never_happens_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(IcalError, match="5,000 may be read"):
        ical.read(calendar(*[f"{NIGHT}\nRRULE:FREQ=DAILY"] * 20), BARE, NOW)
    never = ical.read(calendar(f"{NIGHT}\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), BARE, NOW)
    assert (never.duties, never.skipped) == ([], [])
    monkeypatch.setattr(ical, "MOST_RULES", 1)
    assert "recurring events" in ical.read(calendar(*[f"{NIGHT}\nRRULE:FREQ=DAILY"] * 2), BARE, NOW).skipped[0]
    monkeypatch.setattr(ical, "MOST_EVENTS", 1)
    with pytest.raises(IcalError, match="1 may be read"):
        ical.read(calendar(NIGHT, NIGHT), BARE, NOW)


FREQUENCIES = {"DAILY": DAILY, "WEEKLY": WEEKLY, "MONTHLY": MONTHLY, "YEARLY": YEARLY}
EACH = st.lists(st.integers(0, 6).map(lambda day: (0, day)), max_size=3).map(frozenset)
COUNTED = st.lists(st.tuples(st.sampled_from([-2, -1, 1, 2, 4]), st.integers(0, 6)), max_size=3).map(frozenset)
MONTH_DAYS = st.lists(st.integers(1, 28) | st.integers(-5, -1), max_size=2).map(frozenset)
MONTHS = st.lists(st.integers(1, 12), min_size=1, max_size=3).map(frozenset)
TIMES, WEEK_BEGINS = st.none() | st.integers(1, 20), st.integers(0, 6)
NONE = st.just(frozenset[int]())
# none that falls on no day at all: the other looks for that until the year 9999
RULES = st.one_of(
    st.builds(
        Recurrence, st.sampled_from(["DAILY", "WEEKLY"]), st.integers(1, 4), TIMES, EACH, NONE, NONE, WEEK_BEGINS
    ),
    st.builds(Recurrence, st.just("MONTHLY"), st.integers(1, 4), TIMES, EACH | COUNTED, NONE, NONE, WEEK_BEGINS),
    st.builds(Recurrence, st.just("MONTHLY"), st.integers(1, 4), TIMES, EACH, MONTH_DAYS, NONE, WEEK_BEGINS),
    st.builds(Recurrence, st.just("YEARLY"), st.integers(1, 2), TIMES, EACH | COUNTED, NONE, MONTHS, WEEK_BEGINS),
    st.builds(Recurrence, st.just("YEARLY"), st.integers(1, 2), TIMES, NONE.map(frozenset), MONTH_DAYS, MONTHS),
    st.builds(Recurrence, st.just("YEARLY"), st.integers(1, 2), TIMES),
)


@settings(max_examples=60, deadline=None)
@given(RULES, st.dates(date(2024, 1, 1), date(2026, 12, 31)))
def test_recurrence_is_what_others_make_of_it(rule: Recurrence, first: date) -> None:
    last = first + timedelta(days=900)
    asked: dict[str, Any] = {
        "byweekday": [weekday(day, which or None) for which, day in sorted(rule.weekdays)] or None,
        "bymonthday": sorted(rule.month_days) or None,
        "bymonth": sorted(rule.months) or None,
    }
    start = datetime.combine(first, time(0))
    others = rrule(
        FREQUENCIES[rule.frequency], dtstart=start, interval=rule.interval, count=rule.count, wkst=rule.week_begins,
        until=datetime.combine(last, time(0)) if rule.count is None else None, **asked,
    )  # fmt: skip
    expected = [moment.date() for moment in others.between(start, datetime.combine(last, time(0)), inc=True)]
    assert list(rule.days(first, last)) == expected


def test_a_rule_is_read_by_its_parts() -> None:
    parts: dict[str, list[object]] = {
        "FREQ": ["MONTHLY"],
        "BYDAY": ["-1FR", "2TU"],
        "INTERVAL": [2],
        "COUNT": [5],
        "WKST": ["SU"],
    }
    assert Recurrence.read(parts) == Recurrence("MONTHLY", 2, 5, frozenset({(-1, 4), (2, 1)}), week_begins=6)
    with pytest.raises(RecurrenceError, match="whole number"):
        Recurrence.read({"FREQ": ["DAILY"], "INTERVAL": ["x"]})
