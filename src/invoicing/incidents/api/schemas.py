"""Incidents in the HTTP contract: what is shown, and what people send."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import ChangeKind, IncidentState, Severity
from invoicing.jobs.model import PromiseStatus, State
from invoicing.kit.moments import Moment

Words = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2_000,
        pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
        description="What our staff read of it; customers do not.",
        examples=["The register is down; they say 30 minutes."],
    ),
]
Assignee = Annotated[
    str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Who looks after it.")
]


class BlastBody(BaseModel):
    """Whom an incident touches now; once its cause is gone, unfinished jobs whose promises it broke, or may.

    Of one that is over: the most of them at one time.
    """

    jobs: int
    customers: int = Field(description="Where several things are added up: at least so many.")
    promises_at_risk: int
    promises_missed: int
    oldest: datetime | None = Field(description="When the job was submitted that waits longest.")
    at_least: bool = Field(description="Counting ended at a bound: there are more.")
    money: dict[str, str] = Field(
        description="What the jobs that it holds are about, where their kinds know, by currency.",
        examples=[{"CNY": "10300.00", "EUR": "351.05"}],
    )
    money_at_least: bool = Field(description="Adding up ended at a bound: there is more.")


class ByBody(BaseModel):
    """When something was done, and by whom (`service`, or role and label of a key)."""

    at: datetime
    by: str


class IncidentBody(BaseModel):
    """One cause that touches many jobs."""

    id: UUID
    cause: Cause
    scope: str = Field(description="`lane:…`, `kind:…`, `host:…`, `customer:…`, or `*` for everything.")
    title: str
    state: IncidentState
    severity: Severity
    since: datetime = Field(description="When the cause began to hold.")
    opened_at: datetime
    quiet_since: datetime | None = Field(description="Since when the cause is not seen any more.")
    resolves_at: datetime | None = Field(description="When it is over by itself if that lasts.")
    acknowledged: ByBody | None
    assignee: str | None
    estimate: ByBody | None = Field(description="When it should be over (`at`), and who says so.")
    resolved: ByBody | None
    reopenings: int
    merged_into: UUID | None
    blast: BlastBody
    evidence: dict[str, Any]
    revision: int


class IncidentPage(BaseModel):
    """A page of incidents, the newest first."""

    items: list[IncidentBody]
    next_page_token: str | None


class MemberBody(BaseModel):
    """A job that an incident touches."""

    id: UUID
    customer: str
    kind: str
    reference: str | None
    lane: str
    state: State
    submitted_at: datetime
    promise_due: datetime
    promise_status: PromiseStatus


class MemberPage(BaseModel):
    """A page of the jobs that an incident touches."""

    items: list[MemberBody]
    next_page_token: str | None


class IncidentChangeBody(BaseModel):
    """Something that happened to an incident."""

    seq: int
    at: datetime
    change: ChangeKind
    by: str
    text: str | None
    data: dict[str, Any]


class IncidentCallBody(BaseModel):
    """Somebody who was called about an incident."""

    person: str
    name: str
    level: int
    at: datetime


class CalleeBody(BaseModel):
    """Somebody on duty."""

    person: str
    name: str


class NextIncidentCallBody(BaseModel):
    """When somebody is called who was not called before, unless it is acknowledged."""

    at: datetime
    people: list[CalleeBody]


class IncidentEscalationBody(BaseModel):
    """Who was called about an incident since it was opened or reopened, and who is next."""

    called: list[IncidentCallBody]
    next: NextIncidentCallBody | None


class IncidentDetail(IncidentBody):
    """An incident with the jobs that it touches, what happened to it, and what to do about it."""

    members: MemberPage
    timeline: list[IncidentChangeBody] = Field(description="The first first; of a very long one the last rows.")
    runbook: str = Field(description="What to do about its cause (Markdown).")
    escalation: IncidentEscalationBody


class IncidentActBody(BaseModel):
    """What an act changed."""

    changed: bool = Field(description="Whether anything is otherwise than before: doing it twice changes nothing.")
    incident: IncidentBody


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AcknowledgeForm(_Form):
    """That somebody looks after it."""

    text: Words | None = None


class AssignForm(_Form):
    """In whose hands it is from now on; null: in nobody's."""

    to: Assignee | None
    text: Words | None = None


class NoteForm(_Form):
    """Something to be written down."""

    text: Words


class EstimateForm(_Form):
    """When it should be over; customers see it at their jobs. Null: not known."""

    at: Moment | None
    text: Words | None = None


class MergeForm(_Form):
    """Of which other incident it is a part."""

    into: UUID
    text: Words | None = None


class ResolveForm(_Form):
    """That it is over, and how that is known."""

    text: Words
