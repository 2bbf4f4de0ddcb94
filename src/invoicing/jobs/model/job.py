"""A job and what belongs to it, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from invoicing.jobs.model.calendars import Promise, calendar_of, due_of, span_of
from invoicing.jobs.model.dependencies import Said
from invoicing.jobs.model.holds import FREE, Terms
from invoicing.jobs.model.money import Money
from invoicing.jobs.model.outcomes import Verdict
from invoicing.jobs.model.promises import PromiseStatus
from invoicing.jobs.model.states import Event, Priority, Size, State


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
    key_id: UUID
    """The key that submitted it; nil for jobs older than this column."""
    estimated_s: float | None
    """What its kind estimated (seconds), before `predicted_s` was corrected by experience."""
    parked_at: datetime | None
    """Since when it waits to go on, having given way to other work."""
    expedited_at: datetime | None = None
    """Since when it goes before the fair order, because our staff said so; until it starts."""
    promise_status: PromiseStatus = PromiseStatus.ON_TRACK
    """How its promise stood when that was last told; once it is finished, its end says more."""
    promise_changed_at: datetime | None = None
    """When its promise was last told of; None: never yet."""
    updates: int = 0
    """How often it was told that there is no news, because somebody was promised some."""
    amount: Decimal | None = None
    """What it is about, where its kind knows, in its `currency`."""
    currency: str | None = None
    needs: str = ""
    """What it needs from outside, by name (see `model/dependencies.py`)."""
    held: bool = False
    """Whether it is queued and waits for a place of its customer's quota, out of the dispatcher's sight."""

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
    needs: str = ""
    body: bytes | None = None
    """The request as the customer sent it, where it is small."""
    split: bool = False
    """Whether a streamed field of the payload is kept in parts of its own."""
    saved: Mapping[str, Any] | None = None
    """What the last checkpoint of an earlier attempt kept."""


@dataclass(frozen=True)
class Settlement:
    """The end of an attempt, on its way into the ledger."""

    job_id: UUID
    attempt: int
    verdict: Verdict
    order_delay: timedelta = timedelta(0)
    """How long from now it counts as due at the earliest where it gave way: behind what waits in its lane already."""
    took: timedelta | None = None
    """How long it worked, where that is not the time since its claim: it was given to a child together with others."""
    said: Said | None = None
    """What it says of what it needed from outside."""
    spared: Verdict | None = None
    """What becomes of it instead where that is found to be down."""


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
    estimated_s: float
    order_delay: timedelta
    promise: timedelta
    deadline: datetime | None
    webhook: str | None
    body: bytes
    idempotency_key: str
    body_hash: bytes
    needs: str = ""
    promise_due: datetime | None = None
    """Where the promise is counted by a calendar, when it is due; `promise` is then how long that is from now."""
    worth: Money | None = None
    """What it is about, where its kind knows."""
    agreed: Promise | None = None
    """What is promised from the moment on at which it may run."""
    terms: Terms = FREE
    """What may hold it before it runs."""

    def due_from(self, turn_at: datetime | None) -> datetime | None:
        """Say when its promise is due: counted from its turn, where it waits for one."""
        if turn_at is None or self.agreed is None:
            return self.promise_due
        return due_of(turn_at, span_of(self.agreed), calendar_of(self.agreed))


@dataclass(frozen=True)
class Accepted:
    """What became of a request: the job it made, or the one that an earlier request with the same key had made."""

    job_id: UUID
    replayed: bool
    submitted_at: datetime | None = None
    held: bool = False
    """Whether something holds it, so that the ledger alone knows how it stands."""
