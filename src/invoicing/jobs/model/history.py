"""What a job's history must look like, whoever wrote it: a path through the state chart that ends where the job is."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from invoicing.jobs.model.states import FINISHED, TRANSITIONS, Event, State


@dataclass(frozen=True)
class Discrepancy:
    """Something in the ledger that cannot be so: a code for programs, what it is about, and a sentence."""

    code: str
    about: str
    says: str


class Row(NamedTuple):
    """A row of a timeline, as it was read: event and state may be words that mean nothing."""

    seq: int
    event: str
    state: str
    attempt: int


@dataclass(frozen=True)
class Stand:
    """Where a job's own row says that it stands."""

    job_id: UUID
    state: State
    attempt: int
    revision: int
    has_request: bool


@dataclass(frozen=True)
class Tries:
    """What a job's attempts say about themselves."""

    count: int = 0
    lowest: int = 0
    highest: int = 0
    open: tuple[int, ...] = ()


NO_TRIES = Tries()

_PROMISES = {Event.PROMISE_AT_RISK, Event.PROMISE_ON_TRACK, Event.PROMISE_MISSED, Event.PROMISE_MOVED}
_TOLD = {*_PROMISES, Event.UPDATE}
_WAITS_ON = {Event.EXPEDITED, Event.MOVED, Event.ADMITTED, Event.PAUSED, Event.RESUMED}
_STAY = frozenset({Event.PROGRESSED, Event.RECLASSED, Event.CANCEL_REQUESTED, *_WAITS_ON, *_TOLD})
_LEADS_TO: Mapping[Event, State] = {
    Event.STARTED: State.RUNNING,
    Event.SUCCEEDED: State.SUCCEEDED,
    Event.RETRYING: State.RETRYING,
    Event.DEAD: State.DEAD,
    Event.INTERRUPTED: State.QUEUED,
    Event.PARKED: State.QUEUED,
    Event.RESCUED: State.QUEUED,
    Event.RETRIED: State.QUEUED,
    Event.RELEASED: State.QUEUED,
    Event.CANCELLED: State.CANCELLED,
}
_FIRST = frozenset(Row(1, Event.ACCEPTED, state, 0) for state in (State.QUEUED, State.IN_REVIEW))


def holes(stand: Stand, rows: Iterable[Row], tries: Tries) -> Iterator[Discrepancy]:
    """Hold a job's timeline and attempts against the state chart and the job's row; rows are read one by one."""
    about = f"job {stand.job_id}"
    before: Row | None = None
    for row in rows:
        wrong = _first(row) if before is None else _step(before, row)
        if wrong:
            yield Discrepancy("illegal_path", about, f"Its timeline at {row.seq}: {wrong}.")
        before = row
    wrong = _end(stand, before)
    if wrong:
        yield Discrepancy("wrong_end", about, wrong)
    wrong = _attempts(stand, tries)
    if wrong:
        yield Discrepancy("wrong_attempts", about, wrong)
    if not stand.has_request:
        yield Discrepancy("request_lost", about, f"It is {stand.state}, and its request is not there.")


def _first(row: Row) -> str:
    return "" if row in _FIRST else f"begins with {row.event} ({row.state}), not with its acceptance"


def _step(before: Row, row: Row) -> str:
    """Say what is wrong with a step from one row to the next; nothing, usually.

    Being set aside changes a running job's revision without a row, so numbers may be left out while it runs.
    """
    if row.seq != before.seq + 1 and (before.state != State.RUNNING or row.seq <= before.seq):
        return f"follows {before.seq}"
    try:
        event, was, state = Event(row.event), State(before.state), State(row.state)
    except ValueError as error:
        return str(error)
    if row.attempt - before.attempt != (event is Event.STARTED):
        return f"{event} leads from attempt {before.attempt} to {row.attempt}"
    if event in _STAY:
        return "" if state is was and was not in FINISHED else f"{event} leads from {was} to {state}"
    if state not in TRANSITIONS[was] or _LEADS_TO.get(event, state) is not state:
        return f"{event} leads from {was} to {state}"
    return ""


def _end(stand: Stand, last: Row | None) -> str:
    if last is None:
        return "It has no timeline."
    if (last.state, last.attempt) != (stand.state, stand.attempt):
        return (
            f"Its timeline ends {last.state} at attempt {last.attempt}, and it is {stand.state} at attempt "
            f"{stand.attempt}."
        )
    if last.seq > stand.revision or (last.seq < stand.revision and stand.state is not State.RUNNING):
        return f"Its timeline ends at {last.seq}, and its revision is {stand.revision}."
    return ""


def _attempts(stand: Stand, tries: Tries) -> str:
    if (tries.count, tries.highest) != (stand.attempt, stand.attempt) or tries.lowest != min(1, stand.attempt):
        return f"It is at attempt {stand.attempt}, and {tries.count} are there, the last with number {tries.highest}."
    expected = (stand.attempt,) if stand.state is State.RUNNING else ()
    if tries.open != expected:
        numbers = ", ".join(map(str, tries.open)) or "none"
        return f"It is {stand.state}, and of its attempts these have no end: {numbers}."
    return ""
