"""Maintenance windows: in force from their beginning to their end, silent about what they cover and nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from invoicing.lanes.model import BY_NAME
from invoicing.maintenance.model import Stage, Window, covers, faults_of, shifts_now, stage_of

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = Window(
    UUID(int=1), NOON, NOON + 2 * HOUR, ("normal-small",), "A move.", "DB-7", True, True, "ops:Olga", NOON - 24 * HOUR
)
ALL = replace(WINDOW, lanes=tuple(BY_NAME))


@pytest.mark.parametrize(
    ("ended", "hours", "stage"),
    [
        (None, -0.1, Stage.PLANNED),
        (None, 0, Stage.IN_FORCE),
        (None, 1.9, Stage.IN_FORCE),
        (None, 2, Stage.OVER),
        (1, 1, Stage.OVER),
        (-1, -0.5, Stage.CANCELLED),
        (-1, 1, Stage.CANCELLED),
    ],
)
def test_a_window_begins_and_ends_by_itself_or_by_hand(ended: float | None, hours: float, stage: Stage) -> None:
    window = replace(WINDOW, ended_at=None if ended is None else NOON + ended * HOUR)
    assert stage_of(window, NOON + hours * HOUR) is stage


@pytest.mark.parametrize(
    ("window", "scope", "covered"),
    [
        (WINDOW, "normal-small", True),
        (WINDOW, "normal-large", False),
        (WINDOW, "host-7", False),
        (WINDOW, "*", False),
        (ALL, "normal-large", True),
        (ALL, "host-7", True),
        (ALL, "*", True),
    ],
)
def test_a_window_covers_its_lanes_and_one_of_every_lane_anything(window: Window, scope: str, *, covered: bool) -> None:
    assert covers(window, scope) is covered


def test_promises_are_shifted_within_the_hour_before_and_until_the_end() -> None:
    moments = [-1.1, -1, 0, 1.9, 2]
    assert [shifts_now(WINDOW, NOON + hours * HOUR) for hours in moments] == [False, True, True, True, False]
    assert not shifts_now(replace(WINDOW, shift_promises=False), NOON)


@pytest.mark.parametrize(
    ("begins", "ends", "field"),
    [(-1, 1, "/from"), (9000, 9001, "/from"), (1, 1, "/until"), (2, 1, "/until"), (1, 170, "/until")],
)
def test_times_that_make_no_sense_are_refused(begins: float, ends: float, field: str) -> None:
    found = faults_of(NOON + begins * HOUR, NOON + ends * HOUR, NOON)
    assert found is not None
    assert found[0] == field
    assert faults_of(NOON, NOON + HOUR, NOON) is None
