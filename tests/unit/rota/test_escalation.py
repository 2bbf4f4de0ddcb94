"""Escalation: only somebody on duty is called, and that there is nobody is said."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.rota.model import MISSING, Person, Rota, Shift, Step, escalation, on_duty

MINUTE = timedelta(minutes=1)
WEEKDAYS, EVERY_DAY = frozenset(range(5)), frozenset(range(7))
PEOPLE = tuple(Person(name, name.title(), f"{name}@example.com") for name in ("ann", "bob", "cyd"))
STEPS = (Step(0 * MINUTE, 1), Step(5 * MINUTE, 2), Step(15 * MINUTE, 3))
ROTA = Rota(
    PEOPLE,
    (
        Shift(("ann",), "UTC", time(8), time(20), EVERY_DAY, 1),
        Shift(("bob",), "UTC", time(8), time(20), WEEKDAYS, 2),
        Shift(("cyd",), "UTC", time(9), time(10), WEEKDAYS, 3),
    ),
    STEPS,
)
MONDAY = datetime(2026, 11, 30, 9, tzinfo=UTC)


def called(since: datetime, minutes: float) -> tuple[list[str], list[str], float | None]:
    """Name who is called so many minutes later, who is called next, and in how many minutes after it began."""
    found = escalation(ROTA, since, since + minutes * MINUTE)
    following = found.next
    names = [one.id for one in following.people] if following else []
    return [one.id for one in found.people], names, (following.at - since) / MINUTE if following else None


@pytest.mark.parametrize(
    ("since", "minutes", "expected"),
    [
        (MONDAY, 0, (["ann"], ["bob"], 5)),
        (MONDAY, 4.9, (["ann"], ["bob"], 5)),
        (MONDAY, 5, (["ann", "bob"], ["cyd"], 15)),
        (MONDAY, 15, (["ann", "bob", "cyd"], [], None)),
        # the third is not on duty at 19:55; their turn comes with their next shift
        (MONDAY.replace(hour=19), 30, (["ann", "bob"], ["cyd"], 14 * 60)),
        # nobody of the second level works on a Saturday: they come on duty on Monday
        (MONDAY - timedelta(days=2), 10, (["ann"], ["bob"], 47 * 60)),
    ],
)
def test_levels_are_called_in_their_turn(
    since: datetime, minutes: float, expected: tuple[list[str], list[str], float | None]
) -> None:
    assert called(since, minutes) == expected


def test_nobody_on_duty_is_a_finding_and_names_who_comes_first() -> None:
    night = MONDAY.replace(hour=22)
    found = escalation(ROTA, night, night)
    assert (found.people, found.findings) == ((), (MISSING,))
    assert found.next is not None
    assert (found.next.at, [one.id for one in found.next.people]) == (
        MONDAY.replace(day=1, month=12, hour=8),
        ["ann", "bob"],
    )


def test_a_level_without_anybody_is_passed_over_at_once() -> None:
    rota = Rota(PEOPLE, ROTA.shifts[1:], STEPS)
    found = escalation(rota, MONDAY, MONDAY)
    assert [one.id for one in found.people] == ["bob"]
    assert found.findings == ()


def test_what_is_acknowledged_calls_nobody() -> None:
    found = escalation(ROTA, MONDAY, MONDAY + 20 * MINUTE, MONDAY + 3 * MINUTE)
    assert (found.people, found.next, found.findings) == ((), None, ())
    assert escalation(ROTA, MONDAY, MONDAY + 2 * MINUTE, MONDAY + 3 * MINUTE).people != ()


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 14 * 1440), st.integers(0, 3 * 1440))
def test_only_somebody_on_duty_is_called_and_what_comes_next_comes_true(begins: int, after: int) -> None:
    since = MONDAY + begins * MINUTE
    at = since + after * MINUTE
    found = escalation(ROTA, since, at)
    present = on_duty(ROTA, at)
    assert set(found.people) <= set(present)
    assert bool(found.people) == bool(present)
    assert (found.findings == (MISSING,)) == (not present)
    if found.next is not None:
        later = escalation(ROTA, since, found.next.at)
        assert found.next.at > at
        assert set(found.next.people) <= set(later.people)
        between = escalation(ROTA, since, found.next.at - timedelta(microseconds=1))
        assert set(between.people) <= set(found.people)
