"""What the answers about jobs look like, for the OpenAPI document; the answers themselves are made by `jobs.view`."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from invoicing.jobs.model import Event, Priority, Size, State


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
    """How many jobs of the lane come first."""

    ahead: int


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


class PromiseBody(BaseModel):
    """The time that was committed to."""

    due: datetime
    status: Annotated[str, Field(pattern="^(on_track|at_risk|missed|kept)$")]


class CauseBody(BaseModel):
    """Why an unfinished job is where it is, with the evidence."""

    code: str
    message: str
    since: datetime | None
    observed_at: datetime
    next_update_by: datetime | None
    evidence: dict[str, Any]


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
    eta: EtaBody | None
    normal: NormalBody
    promise: PromiseBody
    cause: CauseBody | None
    incident: dict[str, Any] | None
    artifacts: list[ArtifactBody]
    result: dict[str, Any] | None
    error: dict[str, Any] | None


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


class KindBody(BaseModel):
    """A kind of job that can be submitted."""

    kind: str
    title: str
    href: str


class KindList(BaseModel):
    """The kinds on offer."""

    items: list[KindBody]
    next_page_token: None


class KindDetail(KindBody):
    """A kind with the schema of its payload, an example, what is promised and what is normal per size class."""

    default_priority: Priority
    payload_schema: dict[str, Any] = Field(description="JSON Schema of the payload.")
    example: dict[str, Any]
    promise: dict[str, float] = Field(description="Seconds, by size class.")
    normal: dict[str, NormalBody | None] = Field(description="By size class; null until learned.")
