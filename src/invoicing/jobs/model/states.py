"""The states a job may pass through, what happens to it on the way, and how jobs are told apart for their lanes."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a job stands, as everyone sees it."""

    IN_REVIEW = "in_review"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What a row of a job's timeline tells."""

    ACCEPTED = "accepted"
    STARTED = "started"
    PROGRESSED = "progressed"
    SUCCEEDED = "succeeded"
    RETRYING = "retrying"
    DEAD = "dead"
    INTERRUPTED = "interrupted"
    PARKED = "parked"
    RESCUED = "rescued"
    RECLASSED = "reclassed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"
    EXPEDITED = "expedited"
    MOVED = "moved"
    RETRIED = "retried"
    RELEASED = "released"
    ADMITTED = "admitted"
    PAUSED = "paused"
    RESUMED = "resumed"
    PROMISE_AT_RISK = "promise_at_risk"
    PROMISE_ON_TRACK = "promise_on_track"
    PROMISE_MISSED = "promise_missed"
    PROMISE_MOVED = "promise_moved"
    UPDATE = "update"


class Priority(StrEnum):
    """How urgent the customer calls a job."""

    URGENT = "urgent"
    NORMAL = "normal"
    BULK = "bulk"


class Size(StrEnum):
    """How much work a job is: its size class."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"
    HUGE = "huge"


FINISHED = frozenset({State.SUCCEEDED, State.DEAD, State.CANCELLED})
WAITING = frozenset({State.QUEUED, State.RETRYING})

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.IN_REVIEW: frozenset({State.QUEUED, State.DEAD, State.CANCELLED}),
        State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
        State.RUNNING: frozenset({State.SUCCEEDED, State.DEAD, State.RETRYING, State.QUEUED, State.CANCELLED}),
        State.RETRYING: frozenset({State.RUNNING, State.QUEUED, State.CANCELLED}),
        State.DEAD: frozenset({State.QUEUED}),
        State.SUCCEEDED: frozenset(),
        State.CANCELLED: frozenset(),
    }
)
"""Which state may follow which; `docs/states.md` draws the same table and a test compares them."""
