"""Every legal history is accepted, and none of which something was taken away, put in or turned round."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoicing.jobs.model import FINISHED, TRANSITIONS, Event, State
from invoicing.jobs.model.history import Row, Stand, Tries, holes

_LEADS = {
    Event.STARTED: State.RUNNING, Event.SUCCEEDED: State.SUCCEEDED, Event.RETRYING: State.RETRYING,
    Event.DEAD: State.DEAD, Event.INTERRUPTED: State.QUEUED, Event.PARKED: State.QUEUED, Event.RESCUED: State.QUEUED,
    Event.RETRIED: State.QUEUED, Event.CANCELLED: State.CANCELLED,
}  # fmt: skip
_OF_RUNNING = (
    Event.SUCCEEDED,
    Event.RETRYING,
    Event.DEAD,
    Event.INTERRUPTED,
    Event.PARKED,
    Event.RESCUED,
    Event.CANCELLED,
)
_FROM = {
    State.QUEUED: (Event.STARTED, Event.CANCELLED),
    State.RETRYING: (Event.STARTED, Event.RETRIED, Event.CANCELLED),
    State.RUNNING: _OF_RUNNING,
    State.DEAD: (Event.RETRIED,),
}
_STAY = {
    State.QUEUED: (Event.EXPEDITED, Event.MOVED, Event.RECLASSED),
    State.RETRYING: (Event.EXPEDITED, Event.MOVED),
    State.RUNNING: (Event.PROGRESSED, Event.RECLASSED, Event.CANCEL_REQUESTED),
}


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Draw a path through the state chart."""
    rows = [Row(1, Event.ACCEPTED, State.QUEUED, 0)]
    for _ in range(draw(st.integers(0, 12))):
        state, last = State(rows[-1].state), rows[-1]
        stays, leads = _STAY.get(state, ()), _FROM.get(state, ())
        if not stays + leads:
            break
        event = draw(st.sampled_from(stays + leads))
        became = state if event in stays else _LEADS[event]
        skipped = draw(st.integers(0, 2)) if state is State.RUNNING else 0  # set aside, and back
        rows.append(Row(last.seq + 1 + skipped, event, became, last.attempt + (event is Event.STARTED)))
    return rows


def codes(rows: Sequence[Row], stand: Stand | None = None, tries: Tries | None = None) -> set[str]:
    last = rows[-1]
    stand = stand or Stand(UUID(int=1), State(last.state), last.attempt, last.seq, has_request=True)
    running = (last.attempt,) if last.state == State.RUNNING else ()
    tries = tries or Tries(last.attempt, min(1, last.attempt), last.attempt, running)
    return {found.code for found in holes(stand, rows, tries)}


@given(histories())
def test_a_path_through_the_state_chart_is_a_legal_history(rows: list[Row]) -> None:
    assert codes(rows) == set()


@given(histories(), st.data())
def test_a_history_that_lost_a_row_is_found_out(rows: list[Row], data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(rows) - 1))
    last = rows[-1]
    stand = Stand(UUID(int=1), State(last.state), last.attempt, last.seq, has_request=True)
    left = rows[:lost] + rows[lost + 1 :]
    of_running = lost and rows[lost - 1].state == State.RUNNING
    is_last = lost == len(rows) - 1
    # what is gone right after a row of a running job can look like a moment in which that was set aside
    if not of_running or (is_last and last.state != State.RUNNING):
        running = (last.attempt,) if last.state == State.RUNNING else ()
        tries = Tries(last.attempt, min(1, last.attempt), last.attempt, running)
        assert {found.code for found in holes(stand, left, tries)} & {"illegal_path", "wrong_end"}


@given(histories(), st.sampled_from(State))
def test_a_history_that_ends_elsewhere_than_its_job_is_found_out(rows: list[Row], state: State) -> None:
    last = rows[-1]
    if state != last.state:
        assert "wrong_end" in codes(rows, Stand(UUID(int=1), state, last.attempt, last.seq, has_request=True))


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_step_that_the_state_chart_does_not_have_is_found_out(before: State, after: State) -> None:
    event = next((event for event, state in _LEADS.items() if state is after), Event.MOVED)
    rows = [Row(1, Event.ACCEPTED, State.QUEUED, 0), Row(2, Event.STARTED, State.RUNNING, 1)]
    if before is not State.RUNNING:
        rows.append(Row(3, next((e for e, s in _LEADS.items() if s is before), Event.MOVED), before, 1))
    rows.append(Row(rows[-1].seq + 1, event, after, 1 + (event is Event.STARTED)))
    legal = after in TRANSITIONS[before] and (before is State.RUNNING or before in TRANSITIONS[State.RUNNING])
    assert (codes(rows) == set()) == legal, (rows, FINISHED)


@pytest.mark.parametrize(
    "tries",
    [Tries(1, 1, 2, ()), Tries(2, 2, 3, ()), Tries(2, 1, 2, (2,)), Tries(), Tries(3, 1, 3, ())],
    ids=["one gone", "numbers moved", "one open", "none", "one too many"],
)
def test_attempts_that_are_not_all_there_and_ended_are_found_out(tries: Tries) -> None:
    rows = [
        Row(1, Event.ACCEPTED, State.QUEUED, 0), Row(2, Event.STARTED, State.RUNNING, 1),
        Row(3, Event.RESCUED, State.QUEUED, 1), Row(4, Event.STARTED, State.RUNNING, 2),
        Row(5, Event.SUCCEEDED, State.SUCCEEDED, 2),
    ]  # fmt: skip
    assert codes(rows) == set()
    assert codes(rows, tries=tries) == {"wrong_attempts"}
