"""What a job is, the states it may pass through, and what an outcome makes of it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID


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
    RESCUED = "rescued"
    RECLASSED = "reclassed"
    CANCEL_REQUESTED = "cancel_requested"
    CANCELLED = "cancelled"


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


@dataclass(frozen=True)
class JobError:
    """Why a job failed, in terms the reader can act on: rule, field (RFC 6901 pointer), message, remedy."""

    code: str
    message: str
    field: str | None = None
    rule: str | None = None
    remedy: str | None = None
    findings: tuple[Mapping[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the members that say something."""
        members = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "rule": self.rule,
            "remedy": self.remedy,
            "findings": [dict(finding) for finding in self.findings],
        }
        return {name: value for name, value in members.items() if value}


@dataclass(frozen=True)
class Succeeded:
    """The work is done; `result` is what the customer's program reads."""

    result: Mapping[str, Any]


@dataclass(frozen=True)
class Rejected:
    """The request cannot be carried out, however often it is tried."""

    error: JobError


@dataclass(frozen=True)
class Failed:
    """The attempt failed in a way that another may not; `retry_after` is what a dependency asked for."""

    error: JobError
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Interrupted:
    """The attempt was stopped through no fault of the job: it goes back to the queue and the attempt does not count.

    `size` is the class it turned out to belong to, where that differs.
    """

    why: str
    size: Size | None = None


@dataclass(frozen=True)
class Cancelled:
    """The attempt stopped because the customer, or support, cancelled the job."""


Outcome = Succeeded | Rejected | Failed | Interrupted | Cancelled


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how far apart, a failed job is tried again."""

    max_attempts: int = 3
    first_delay: timedelta = timedelta(seconds=2)
    longest_delay: timedelta = timedelta(minutes=10)

    def delay_after(self, failures: int, jitter: float) -> timedelta:
        """Wait twice as long after each failure; `jitter` in [0, 1) spreads jobs that failed together by up to half."""
        doublings = min(failures - 1, 20)  # far beyond any longest delay, and a timedelta still holds it
        delay = min(self.first_delay * (1 << doublings), self.longest_delay)
        return delay * (1 + jitter / 2)


@dataclass(frozen=True)
class Verdict:
    """What an outcome makes of a job: its next state, how many failures count so far, when it may run again."""

    state: State
    event: Event
    failures: int
    due_in: timedelta = timedelta(0)
    error: JobError | None = None
    result: Mapping[str, Any] | None = None
    size: Size | None = None
    why: str | None = None


def judge(outcome: Outcome, failures: int, policy: RetryPolicy, jitter: float) -> Verdict:
    """Turn an outcome into a state; `failures` are the attempts that counted before this one."""
    match outcome:
        case Succeeded(result):
            return Verdict(State.SUCCEEDED, Event.SUCCEEDED, failures, result=result)
        case Rejected(error):
            return Verdict(State.DEAD, Event.DEAD, failures + 1, error=error)
        case Interrupted(why, size):
            return Verdict(State.QUEUED, Event.INTERRUPTED, failures, size=size, why=why)
        case Cancelled():
            return Verdict(State.CANCELLED, Event.CANCELLED, failures)
        case Failed(error, retry_after) if failures + 1 < policy.max_attempts:
            delay = max(policy.delay_after(failures + 1, jitter), retry_after or timedelta(0))
            return Verdict(State.RETRYING, Event.RETRYING, failures + 1, delay, error)
        case Failed(error, _):
            return Verdict(State.DEAD, Event.DEAD, failures + 1, error=error)


def jitter() -> float:
    """Draw the jitter that `judge` is given."""
    return random.random()  # noqa: S311 - spreads load, guards nothing


@dataclass(frozen=True)
class Progress:
    """How much of the work is done, in a unit that the customer knows."""

    done: float
    total: float
    unit: str


@dataclass(frozen=True)
class Job:
    """A job as the ledger holds it; the fields are the columns of its row."""

    id: UUID
    customer_id: UUID
    kind: str
    reference: str | None
    priority: Priority
    size: Size
    predicted_s: float
    state: State
    revision: int
    attempt: int
    failures: int
    due_at: datetime
    order_at: datetime
    released_at: datetime | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline: datetime | None
    promise_due: datetime
    lease_until: datetime | None
    worker_id: UUID | None
    cancel_requested_at: datetime | None
    irrevocable: bool
    progress_done: float | None
    progress_total: float | None
    progress_unit: str | None
    progressed_at: datetime | None
    result: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    webhook: str | None

    @property
    def progress(self) -> Progress | None:
        """How far the work is, once it has said so."""
        if self.progress_done is None or self.progress_total is None:
            return None
        return Progress(self.progress_done, self.progress_total, self.progress_unit or "steps")


@dataclass(frozen=True)
class TimelineEntry:
    """A row of a job's timeline; `seq` is the job's revision that it made."""

    seq: int
    at: datetime
    event: Event
    state: State
    attempt: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Artifact:
    """A result file, or (while `complete` is false) the finished parts of one."""

    name: str
    media_type: str
    bytes: int
    sha256: str | None
    complete: bool


@dataclass(frozen=True)
class Claim:
    """A job that this worker now holds: everything needed to perform one attempt."""

    id: UUID
    customer_id: UUID
    kind: str
    reference: str | None
    attempt: int
    failures: int
    priority: Priority
    size: Size
    predicted_s: float
    cancel_requested: bool


@dataclass(frozen=True)
class Settlement:
    """The end of an attempt, on its way into the ledger."""

    job_id: UUID
    attempt: int
    verdict: Verdict


@dataclass(frozen=True)
class NewJob:
    """A checked request on its way into the ledger; `body` is what the customer sent, byte for byte."""

    id: UUID
    customer_id: UUID
    key_id: UUID
    kind: str
    reference: str | None
    priority: Priority
    size: Size
    predicted_s: float
    order_delay: timedelta
    promise: timedelta
    deadline: datetime | None
    webhook: str | None
    body: bytes
    idempotency_key: str
    body_hash: bytes


@dataclass(frozen=True)
class Accepted:
    """What became of a request: the job it made, or the one that an earlier request with the same key had made."""

    job_id: UUID
    replayed: bool
    submitted_at: datetime | None = None


@dataclass(frozen=True)
class Cause:
    """A proven reason why an unfinished job does not move, in words for its customer."""

    code: str
    message: str
    since: datetime | None
    observed_at: datetime
    next_update_by: datetime | None
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Eta:
    """When a job is expected to end, as an interval; `similar_jobs` is what it was learned from.

    `confidence` is the share of jobs that should end inside; None where it cannot be stated.
    """

    earliest: datetime
    likely: datetime
    latest: datetime
    confidence: float | None
    similar_jobs: int


@dataclass(frozen=True)
class Normal:
    """How long jobs of this kind and size take (seconds), and where this one stands against that."""

    p50_s: float | None
    p90_s: float | None
    verdict: str
    similar_jobs: int


@dataclass(frozen=True)
class Standing:
    """What is known about a job beyond its row; None means unknown, never a guess. A finished job has no cause."""

    ahead: int | None = None
    """Jobs that start before this one in its lane; where the cause's evidence says `ahead_at_least`, there are more."""
    eta: Eta | None = None
    normal: Normal | None = None
    cause: Cause | None = None
