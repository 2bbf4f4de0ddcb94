"""The state chart that people read is the table that the code obeys."""

import re
from pathlib import Path

import pytest

from invoicing.jobs.model import FINISHED, TRANSITIONS, WAITING, Event, State

CHART = (Path(__file__).parents[3] / "docs" / "states.md").read_text()
ALLOWED = {(before.value, after.value) for before, afters in TRANSITIONS.items() for after in afters}
ROWS = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (.+) \| (\S+) \|$", CHART, re.MULTILINE)


def test_the_drawing_is_the_table_of_the_code() -> None:
    assert set(re.findall(r"^    (\w+) --> (\w+)", CHART, re.MULTILINE)) == ALLOWED


def test_the_documented_causes_cover_exactly_the_table_of_the_code() -> None:
    assert {(before, after) for before, after, _, _ in ROWS} == ALLOWED


def test_every_documented_event_exists_and_every_event_is_documented() -> None:
    events = {event.strip("`") for *_, event in ROWS} - {"–"}  # noqa: RUF001 - the table's own dash
    assert events <= set(Event)
    assert {event for event in Event if f"`{event}`" not in CHART} <= {Event.ACCEPTED}


@pytest.mark.parametrize("state", State)
def test_every_state_has_its_place(state: State) -> None:
    assert state in TRANSITIONS
    assert (state in FINISHED) == (not TRANSITIONS[state] - {State.QUEUED} and state not in WAITING)
