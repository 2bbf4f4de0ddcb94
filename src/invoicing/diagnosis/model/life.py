"""A job's life in stages: waiting, running or ended, each in one lane, without a gap from its submission on.

Read from the timeline and the attempts. Moments are cut to the millisecond, so that the lengths of parts add up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from invoicing.jobs.model import Event, State


@dataclass(frozen=True)
class Entry:
    """A row of a timeline; of reports of progress only those that a long silence follows need be there."""

    at: datetime
    event: Event
    state: State
    attempt: int
    data: Mapping[str, Any] = field(default_factory=dict)
    reports: int = 0
    """How often its attempt had reported progress by then."""
    next_sign_at: datetime | None = None
    """When the work next showed that it moves, or ended; None: not yet."""


@dataclass(frozen=True)
class Try:
    """An attempt: when its work began, and what was last heard of its worker where that was lost."""

    number: int
    began: datetime
    lost: bool = False
    heard_at: datetime | None = None
    error_code: str | None = None


@dataclass(frozen=True)
class Life:
    """What the ledger keeps of one job that tells how its time went by."""

    job_id: UUID
    customer_id: UUID
    kind: str
    lane: str
    """The lane that it is in now, or was in last."""
    predicted_s: float
    submitted_at: datetime
    due_at: datetime
    ended_at: datetime | None
    entries: Sequence[Entry]
    tries: Mapping[int, Try]
    needs: str = ""
    """What it needs from outside, by name."""


@dataclass(frozen=True)
class Stage:
    """A stretch of a life in one state and one lane, with the entry that began it."""

    state: State
    lane: str | None
    """None: it is not kept in which one."""
    since: datetime
    until: datetime
    entry: Entry


def to_ms(moment: datetime) -> datetime:
    """Cut a moment to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def length_ms(since: datetime, until: datetime) -> int:
    """Measure between two moments that were cut (milliseconds)."""
    return (until - since) // timedelta(milliseconds=1)


def span(life: Life, now: datetime) -> tuple[datetime, datetime]:
    """Give a life's two ends: submission, and end or now."""
    return span_of(life.submitted_at, life.ended_at, now)


def span_of(submitted_at: datetime, ended_at: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """Give the two ends of a life, of which it is known when it began and whether it is over."""
    since = to_ms(submitted_at)
    return since, max(since, to_ms(now if ended_at is None else ended_at))


def stages(life: Life, now: datetime) -> tuple[Stage, ...]:
    """Cut a life where its state or its lane changes; each moment of it is in exactly one stage, in order.

    The time of a row is the begin of the transaction that wrote it, so that one may be a little before the row that it
    follows: no stage begins before the one in front of it.
    """
    begin, end = span(life, now)
    marks = list(_marks(life))
    found, at = [], begin
    for place, (entry, lane) in enumerate(marks):
        last = place + 1 == len(marks)
        until = end if last else min(end, max(at, to_ms(marks[place + 1][0].at)))
        found.append(Stage(entry.state, lane, at, until, entry))
        at = until
    return tuple(found)


def _marks(life: Life) -> Iterator[tuple[Entry, str | None]]:
    """Find the entries that begin a stage, each with the lane that the job is in from there on."""
    entry, lane = _first(life), _first_lane(life)
    yield entry, lane
    for following in life.entries:
        before, lane = (entry.state, lane), _lane_after(lane, following)
        if (following.state, lane) != before or following.event is Event.ADMITTED:
            entry = following
            yield entry, lane


def _first(life: Life) -> Entry:
    """Give the entry with which it was accepted, be it made up."""
    first = life.entries[0] if life.entries else None
    accepted = first is not None and first.event is Event.ACCEPTED and first.state is State.IN_REVIEW
    return first if first and accepted else Entry(life.submitted_at, Event.ACCEPTED, State.QUEUED, 0)


def _first_lane(life: Life) -> str | None:
    """Tell in which lane it was submitted; jobs from before that was kept may have it from what changed it first."""
    for entry in life.entries:
        if entry.event is Event.ACCEPTED and "lane" in entry.data:
            return str(entry.data["lane"])
        if "from" in entry.data:
            return str(entry.data["from"])
        if _lane_after("-", entry) != "-":
            return None
    return life.lane


def _lane_after(lane: str | None, entry: Entry) -> str | None:
    if entry.event is Event.MOVED and "to" in entry.data:
        return str(entry.data["to"])
    size = entry.data.get("size")
    if entry.event not in {Event.RECLASSED, Event.INTERRUPTED, Event.PARKED} or not size or lane is None:
        return lane
    return f"{lane.partition('-')[0]}-{size}"
