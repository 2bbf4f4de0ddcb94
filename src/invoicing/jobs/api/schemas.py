"""What the answers about jobs look like, for the OpenAPI document; the answers themselves are made by `jobs.view`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from invoicing.jobs.model import Event, Priority, PromiseStatus, Size, State
from invoicing.kit.http.contract import ProblemBody


class LaneBody(BaseModel):
    """The lane a job takes."""

    priority: Priority
    size: Size


class ProgressBody(BaseModel):
    """How much is done, in a unit that the customer knows."""

    done: float
    total: float
    unit: str


class PositionBody(BaseModel):
    """How many jobs start before this one, as the scheduler would have it now, and in which band that should stay."""

    ahead: int = Field(description="Of those that wait now.")
    at_least: int = Field(description="Fewer than `ahead` where what goes on to come is expected to change the order.")
    at_most: int | None = Field(
        description="With those that may still come and go before it, if jobs come at the pace of the last minute; "
        "null: so many wait that it is not known."
    )


class ParkedBody(BaseModel):
    """Since when it waits to go on."""

    since: datetime


class EtaBody(BaseModel):
    """When the job is expected to end, as an interval."""

    earliest: datetime
    likely: datetime
    latest: datetime
    confidence: float | None = Field(description="Null while it is unknown.")
    similar_jobs: int


class NormalBody(BaseModel):
    """How long jobs of this kind and size take; null until that is known."""

    p50_s: float | None
    p90_s: float | None
    verdict: Annotated[str, Field(pattern="^(normal|slow|unknown)$")]
    similar_jobs: int


class ExpectedBody(BaseModel):
    """When the job was expected to end, as it was told."""

    likely: datetime
    latest: datetime


class ReasonBody(BaseModel):
    """The proven cause, as it was told."""

    code: str
    message: str


class PromiseChangeBody(BaseModel):
    """What was told of a promise."""

    at: datetime
    news: Annotated[str, Field(pattern="^(at_risk|on_track|missed|moved|kept)$")]
    due: datetime
    moved_from: datetime | None
    expected: ExpectedBody | None = Field(description="Null where the end could not be foreseen.")
    reason: ReasonBody | None
    by: str = Field(description="`service`, or the role of our staff who moved it.")
    told_at: datetime | None = Field(description="When the first of your webhooks had the message of it.")


class PromiseBody(BaseModel):
    """The time that was committed to, and what was told of it."""

    due: datetime
    status: PromiseStatus
    moved_from: datetime | None = Field(description="What was promised before it was moved the last time.")
    history: list[PromiseChangeBody] = Field(description="The first first; empty while all goes as promised.")


class CauseBody(BaseModel):
    """Why an unfinished job is where it is, with the evidence."""

    code: str
    message: str
    since: datetime | None
    observed_at: datetime
    next_update_by: datetime | None = Field(
        description="By then it has changed, or an `update` on its timeline says why not. Null: accepted this instant."
    )
    evidence: dict[str, Any]


class IncidentNoticeBody(BaseModel):
    """An incident of ours that touches an unfinished job."""

    id: UUID
    severity: Annotated[str, Field(pattern="^S[1-4]$", description="S1 is the worst.")]
    title: str
    since: datetime
    estimate: datetime | None = Field(description="When it should be over; null: not known yet.")
    acknowledged: bool = Field(description="Whether a person of ours looks after it.")


class ArtifactBody(BaseModel):
    """A result file; while it is not complete, the finished parts of one."""

    name: str
    media_type: str
    bytes: int
    sha256: str | None
    complete: bool
    href: str


class JobBody(BaseModel):
    """A job as everyone sees it; all fields are always there."""

    id: UUID
    kind: str
    reference: str | None
    customer: str
    state: State
    lane: LaneBody
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    progress: ProgressBody | None
    position: PositionBody | None
    parked: ParkedBody | None = Field(description="It gave way to other work and goes on by itself.")
    eta: EtaBody | None
    normal: NormalBody
    promise: PromiseBody
    cause: CauseBody | None
    incident: IncidentNoticeBody | None = Field(description="What of ours holds it together with other jobs.")
    artifacts: list[ArtifactBody]
    result: dict[str, Any] | None
    error: dict[str, Any] | None = Field(
        description="Why it is dead, or failed the last time: `code`, `message`, mostly a `remedy`. The code `poison`: "
        "two workers died on it, so it is not tried again by itself, but by our staff when they know the reason."
    )


class JobPage(BaseModel):
    """A page of jobs, the newest first."""

    items: list[JobBody]
    next_page_token: str | None


class EntryBody(BaseModel):
    """A row of a job's timeline."""

    seq: int
    at: datetime
    event: Event
    state: State
    attempt: int
    data: dict[str, Any]


class EntryPage(BaseModel):
    """A page of a timeline, the oldest first."""

    items: list[EntryBody]
    next_page_token: str | None


class RefusedBody(ProblemBody):
    """Why a job was not taken in; which of its own members are there depends on `code`."""

    retry_after_s: int | None = Field(default=None, description="As in the header Retry-After.")
    predicted_wait_s: float | None = Field(default=None, description="How long the job would wait for its start.")
    allowed_wait_s: float | None = Field(default=None, description="Up to which wait such jobs are taken in.")
    waiting: int | None = Field(default=None, description="How many of your jobs are waiting.")
    max_waiting: int | None = Field(default=None, description="How many of them may.")


class KindBody(BaseModel):
    """A kind of job that can be submitted."""

    kind: str
    title: str
    href: str


class KindList(BaseModel):
    """The kinds on offer."""

    items: list[KindBody]
    next_page_token: None


class SizeModelBody(BaseModel):
    """What was learned about a kind's own estimates: by which factor (actual / estimated) jobs of usual size miss them.

    Nine of ten lie from `factor_p05` to `factor_p95`; new jobs are placed by the corrected estimate.
    """

    jobs: int = Field(description="Finished jobs that it was learned from.")
    factor_p05: float
    factor_p50: float
    factor_p95: float
    exponent: float = Field(description="The work grows as the estimate to this power; 1 where it grows like it.")
    own_jobs: int = Field(description="Of these, your own.")
    own_factor_p50: float = Field(description="The factor of your own jobs.")


class CalendarBody(BaseModel):
    """Opening hours, by the clock of a place."""

    zone: str = Field(description="An IANA time zone.")
    opens: str
    closes: str = Field(description="00:00: midnight at the end of the day.")
    weekdays: list[int] = Field(description="0 is Monday.")
    country: str | None = Field(description="Closed on its public holidays (ISO 3166-1); null: on none.")
    subdivision: str | None = Field(description="Of a region of it (ISO 3166-2).")


class KindDetail(KindBody):
    """A kind with the schema of its payload, an example, what is promised and what is normal per size class."""

    default_priority: Priority
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the payload.")
    example: dict[str, Any]
    needs: list[str] = Field(
        description="What its jobs may need from outside our service; while that is down they wait, and say so."
    )
    promise: dict[str, float] = Field(description="What is promised to you: seconds, by size class.")
    promise_calendar: dict[str, CalendarBody | None] = Field(
        description="By size class: the seconds count only while this calendar is open; null: they are by the clock."
    )
    normal: dict[str, NormalBody | None] = Field(description="By size class; null until learned.")
    size_model: SizeModelBody | None = Field(description="Null until learned.")
