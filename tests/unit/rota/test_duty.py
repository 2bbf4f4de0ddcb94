"""On call: who is on duty is the same whoever asks, and no hour without anybody goes unnoticed."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.rota.model import (
    Gap,
    Holidays,
    Override,
    Person,
    Rota,
    Shift,
    Step,
    faults_of,
    first_gap_of_claim,
    gaps,
    next_on_duty,
    on_duty,
    spans,
)

HOUR = timedelta(hours=1)
EVERY_DAY = frozenset(range(7))
PEOPLE = tuple(Person(name, name.title(), f"{name}@example.com") for name in ("ann", "bob", "cyd"))
OFFICE = Shift(("ann",), "Europe/Berlin", time(9), time(17), frozenset(range(5)), country="DE")
AROUND = Rota(
    PEOPLE,
    (
        Shift(("ann",), "Europe/Berlin", time(8), time(20), EVERY_DAY),
        Shift(("bob",), "Europe/Berlin", time(20), time(8), EVERY_DAY),
    ),
)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def names(rota: Rota, at: datetime, level: int | None = None) -> list[str]:
    return [person.id for person in on_duty(rota, at, level)]


def stand_in(person: str, replaces: str | None, begins: str, ends: str, place: int = 1) -> Override:
    return Override(UUID(int=place), berlin(begins), berlin(ends), person, replaces)


@pytest.mark.parametrize(
    ("at", "on"),
    [
        ("2026-11-30 09:00", ["ann"]),
        ("2026-11-30 16:59", ["ann"]),
        ("2026-11-30 17:00", []),
        ("2026-11-28 12:00", []),  # a Saturday
        ("2026-12-25 12:00", []),  # a public holiday
        ("2026-10-26 09:30", ["ann"]),  # the clocks went back the day before
    ],
)
def test_hours_are_those_of_the_place(at: str, on: list[str]) -> None:
    assert names(Rota(PEOPLE, (OFFICE,)), berlin(at)) == on


def test_holidays_have_shifts_of_their_own() -> None:
    feast = replace(OFFICE, people=("bob",), holidays=Holidays.ONLY)
    always = replace(OFFICE, people=("cyd",), holidays=Holidays.TOO, level=2)
    rota = Rota(PEOPLE, (OFFICE, feast, always))
    assert names(rota, berlin("2026-12-25 12:00")) == ["bob", "cyd"]
    assert names(rota, berlin("2026-12-28 12:00")) == ["ann", "cyd"]


def test_people_take_turns_by_weeks_from_a_monday_on() -> None:
    turns = replace(OFFICE, people=("ann", "bob", "cyd"), since=date(2026, 11, 4), weeks=2)
    rota = Rota(PEOPLE, (turns,))
    mondays = [berlin("2026-11-09 12:00") + timedelta(weeks=week) for week in range(7)]
    assert [names(rota, at) for at in mondays] == [[n] for n in ("ann", "bob", "bob", "cyd", "cyd", "ann", "ann")]
    assert names(rota, berlin("2026-11-03 12:00")) == []  # before the first day


def test_a_stand_in_is_on_duty_wherever_the_other_would_be_and_only_then() -> None:
    rota = replace(AROUND, overrides=(stand_in("cyd", "ann", "2026-11-30 10:00", "2026-12-01 10:00"),))
    times = ["2026-11-30 09:59", "2026-11-30 10:00", "2026-11-30 21:00", "2026-12-01 09:00", "2026-12-01 10:00"]
    assert [names(rota, berlin(at)) for at in times] == [["ann"], ["cyd"], ["bob"], ["cyd"], ["ann"]]


def test_a_later_stand_in_replaces_an_earlier_one_and_somebody_may_come_beside() -> None:
    day = ("2026-11-30 00:00", "2026-12-01 00:00")
    first, second = stand_in("bob", "ann", *day, 1), stand_in("cyd", "bob", *day, 2)
    assert names(replace(AROUND, overrides=(first, second)), berlin("2026-11-30 12:00")) == ["cyd"]
    beside = stand_in("cyd", None, *day)
    assert names(replace(AROUND, overrides=(beside,)), berlin("2026-11-30 12:00")) == ["ann", "cyd"]


@pytest.mark.parametrize("day", ["2026-03-29 00:00", "2026-10-25 00:00"])
def test_shifts_that_meet_leave_no_gap_when_the_clocks_change(day: str) -> None:
    halves = [
        Shift(("ann",), "Europe/Berlin", time(2, 30), time(14), EVERY_DAY),
        Shift(("bob",), "Europe/Berlin", time(14), time(2, 30), EVERY_DAY),
    ]
    assert gaps(Rota(PEOPLE, tuple(halves)), berlin(day), berlin(day) + 3 * 24 * HOUR) == []


def test_between_two_continents_an_hour_is_uncovered_while_only_one_of_them_has_changed_its_clocks() -> None:
    sun = Rota(
        PEOPLE,
        (
            Shift(("ann",), "Europe/Berlin", time(6), time(18), EVERY_DAY),
            Shift(("bob",), "America/New_York", time(12), time(0), EVERY_DAY),
        ),
    )
    found = gaps(sun, berlin("2026-02-01 00:00"), berlin("2026-05-01 00:00"))
    assert found[0] == Gap(datetime(2026, 3, 9, 4, tzinfo=UTC), datetime(2026, 3, 9, 5, tzinfo=UTC))
    assert len(found) == 21 - 1  # from the Monday after New York's change to the day of Berlin's
    claimed = replace(sun, claims="24/7")
    assert first_gap_of_claim(claimed, berlin("2026-02-01 00:00")) == found[0]
    assert first_gap_of_claim(sun, berlin("2026-02-01 00:00")) is None


def test_a_public_holiday_months_ahead_refutes_the_claim() -> None:
    days = replace(AROUND.shifts[0], country="DE")
    gap = first_gap_of_claim(
        replace(AROUND, shifts=(days, AROUND.shifts[1]), claims="24/7"), berlin("2026-06-01 00:00")
    )
    assert gap == Gap(berlin("2026-10-03 08:00"), berlin("2026-10-03 20:00"))
    assert first_gap_of_claim(replace(AROUND, claims="24/7"), berlin("2026-06-01 00:00")) is None


def test_who_comes_next_is_found_over_a_weekend() -> None:
    span = next_on_duty(Rota(PEOPLE, (OFFICE,)), berlin("2026-11-27 18:00"), timedelta(days=7))
    assert span is not None
    assert span.begins == berlin("2026-11-30 09:00")
    assert next_on_duty(Rota(PEOPLE, ()), berlin("2026-11-27 18:00"), timedelta(days=7)) is None


ZONES = st.sampled_from(["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
CLOCKS = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
MOMENTS = st.integers(0, 500 * 1440).map(lambda m: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=m))
SHIFTS = st.builds(
    Shift,
    st.lists(st.sampled_from(["ann", "bob", "cyd"]), min_size=1, max_size=3).map(tuple),
    ZONES,
    CLOCKS,
    CLOCKS,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(1, 2),
    st.sampled_from(["DE", "US"]),
    holidays=st.sampled_from(Holidays),
    since=st.just(date(2026, 2, 1)),
    weeks=st.integers(1, 3),
)
OVERRIDES = st.builds(
    lambda place, begins, hours, person, replaces: Override(
        UUID(int=place), begins, begins + hours * HOUR, person, replaces
    ),
    st.integers(1, 2**64),
    MOMENTS,
    st.integers(1, 100),
    st.sampled_from(["ann", "bob", "cyd"]),
    st.sampled_from([None, "ann", "bob"]),
)
ROTAS = st.builds(
    lambda shifts, overrides: Rota(PEOPLE, tuple(shifts), overrides=tuple(overrides)),
    st.lists(SHIFTS, max_size=4),
    st.lists(OVERRIDES, max_size=4, unique_by=lambda one: one.id),
)


@settings(max_examples=60, deadline=None)
@given(ROTAS, MOMENTS, st.integers(1, 21 * 1440))
def test_what_is_said_of_a_time_is_said_of_each_of_its_moments(rota: Rota, begins: datetime, minutes: int) -> None:
    ends = begins + timedelta(minutes=minutes)
    found = spans(rota, begins, ends)
    assert (found[0].begins, found[-1].ends) == (begins, ends)
    for span in found:
        middle = span.begins + (span.ends - span.begins) / 2
        for at in (span.begins, middle):
            assert names(rota, at) == list(dict.fromkeys(post.person for post in span.posts))
    assert gaps(rota, begins, ends) == [Gap(span.begins, span.ends) for span in found if not span.posts]


@settings(max_examples=30, deadline=None)
@given(ZONES, st.lists(CLOCKS, min_size=1, max_size=4, unique=True), MOMENTS)
def test_shifts_that_share_a_day_of_one_place_out_leave_no_gap(zone: str, cuts: list[time], begins: datetime) -> None:
    clocks = sorted(cuts)
    pairs = zip(clocks, [*clocks[1:], clocks[0]], strict=True)
    shifts = tuple(Shift(("ann",), zone, start, stop, EVERY_DAY) for start, stop in pairs)
    assert gaps(Rota(PEOPLE, shifts), begins, begins + timedelta(days=60)) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"people": (*PEOPLE, PEOPLE[0])}, "/people/3/id"),
        ({"shifts": (replace(OFFICE, people=("dan",)),)}, "/shifts/0/people"),
        ({"shifts": (replace(OFFICE, zone="Europe/Nowhere"),)}, "/shifts/0"),
        ({"shifts": (replace(OFFICE, people=("ann", "bob")),)}, "/shifts/0"),
        ({"shifts": (replace(OFFICE, since=date(2026, 2, 1), until=date(2026, 1, 1)),)}, "/shifts/0"),
        ({"shifts": (replace(OFFICE, country=None, holidays=Holidays.ONLY),)}, "/shifts/0"),
        ({"steps": ()}, "/steps"),
        ({"steps": (Step(5 * HOUR, 1),)}, "/steps"),
        ({"steps": (Step(0 * HOUR, 1), Step(HOUR, 1))}, "/steps"),
        ({"steps": (Step(0 * HOUR, 1), Step(HOUR, 2))}, "/steps/1"),
        ({"overrides": (stand_in("dan", "ann", "2026-11-30 00:00", "2026-12-01 00:00"),)}, "/people"),
    ],
)
def test_what_makes_no_sense_is_found(changed: dict[str, object], field: str) -> None:
    assert [one.field for one in faults_of(replace(Rota(PEOPLE, (OFFICE,)), **changed))] == [field]  # type: ignore[arg-type]  # of any field
    assert faults_of(AROUND) == ()


def test_a_rota_is_read_as_it_was_written() -> None:
    turns = replace(OFFICE, people=("ann", "bob"), since=date(2026, 11, 4), until=date(2027, 1, 1), weeks=2)
    rota = Rota(PEOPLE, (OFFICE, turns), (Step(0 * HOUR, 1), Step(timedelta(minutes=7.5), 2)), "24/7")
    assert Rota.of_json(rota.as_json()) == rota
