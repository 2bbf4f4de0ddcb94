"""What is sent and answered about the rota, for reading requests and for the OpenAPI document."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from invoicing.alerts.model import Severity
from invoicing.customers.api.admin import Words
from invoicing.kit.moments import Moment
from invoicing.rota.model import CLAIM, Holidays, Person, Rota, Shift, Step

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$", max_length=63, examples=["ann"])]
Mail = Annotated[
    str, Field(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$", examples=["ann@example.com"])
]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["09:00"])]
Level = Annotated[int, Field(ge=1, le=10)]
Reason = Annotated[Words, Field(description="Why; goes on the audit.", examples=["Bob is on leave."])]


class PersonForm(BaseModel):
    """One of our staff who can be called."""

    model_config = ConfigDict(extra="forbid")

    id: Name
    name: Words
    mail: Mail
    pagerduty: Annotated[
        Words | None, Field(description="Their user there: named in its events, which calls nobody by itself.")
    ] = None

    def person(self) -> Person:
        """Make the person."""
        return Person(self.id, self.name, self.mail, self.pagerduty)


class ShiftForm(BaseModel):
    """Hours of the week in which somebody is on duty."""

    model_config = ConfigDict(extra="forbid")

    people: Annotated[list[Name], Field(min_length=1, max_length=50, description="Several take turns by weeks.")]
    zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", examples=["Europe/Berlin"])]
    begins: Clock
    ends: Annotated[Clock, Field(description="At or before `begins`: on the next day.")]
    weekdays: Annotated[
        list[Annotated[int, Field(ge=0, le=6)]], Field(min_length=1, max_length=7, description="0 is Monday.")
    ] = [0, 1, 2, 3, 4, 5, 6]
    level: Level = 1
    country: Annotated[str | None, Field(pattern="^[A-Z]{2}$", description="Whose public holidays count.")] = None
    subdivision: Annotated[str | None, Field(pattern="^[A-Za-z0-9]{1,6}$", description="And those of a region.")] = None
    holidays: Annotated[
        Holidays, Field(description="What happens on public holidays: no shift, as always, or only then.")
    ] = Holidays.OFF
    since: Annotated[date | None, Field(description="First day; turns are counted from its week on.")] = None
    until: Annotated[date | None, Field(description="Last day on which it begins.")] = None
    weeks: Annotated[int, Field(ge=1, le=52, description="How long a turn lasts.")] = 1

    def shift(self) -> Shift:
        """Make the shift."""
        return Shift(
            tuple(self.people),
            self.zone,
            time.fromisoformat(self.begins),
            time.fromisoformat(self.ends),
            frozenset(self.weekdays),
            self.level,
            self.country,
            self.subdivision,
            self.holidays,
            self.since,
            self.until,
            self.weeks,
        )


class StepForm(BaseModel):
    """After how long without an acknowledgement those of a level are told."""

    model_config = ConfigDict(extra="forbid")

    after_minutes: Annotated[float, Field(ge=0, le=1440, allow_inf_nan=False)]
    level: Level
    least_severity: Annotated[
        Severity, Field(description="How bad an incident must be to take this step: `S2` means S1 and S2.")
    ] = Severity.S2


class RotaForm(BaseModel):
    """The whole rota; overrides stay as they are."""

    model_config = ConfigDict(extra="forbid")

    people: Annotated[list[PersonForm], Field(max_length=200)]
    shifts: Annotated[list[ShiftForm], Field(max_length=50)]
    steps: Annotated[list[StepForm], Field(min_length=1, max_length=10)] = [StepForm(after_minutes=0, level=1)]
    claims: Annotated[
        Literal["24/7"] | None,
        Field(description=f"`{CLAIM}`, if somebody is always there: refused where that is not so in the next year."),
    ] = None
    reason: Reason

    def rota(self) -> Rota:
        """Make the rota."""
        steps = tuple(Step(timedelta(minutes=one.after_minutes), one.level, one.least_severity) for one in self.steps)
        people, shifts = tuple(one.person() for one in self.people), tuple(one.shift() for one in self.shifts)
        return Rota(people, shifts, steps, self.claims)


class DutyOverrideForm(BaseModel):
    """Who is on duty for whom in a time."""

    model_config = ConfigDict(extra="forbid")

    begins: Annotated[Moment, Field(alias="from")]
    ends: Annotated[Moment, Field(alias="until")]
    person: Name
    replaces: Annotated[Name | None, Field(description="Null: beside whoever is on duty anyway, at a level.")] = None
    level: Annotated[Level, Field(description="Where nobody is replaced.")] = 1
    reason: Reason


class DutyOverrideBody(BaseModel):
    """An override."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="until")
    person: str
    replaces: str | None
    level: int
    imported: bool = Field(description="Whether it came from a calendar.")


class PersonBody(BaseModel):
    """One of our staff."""

    id: str
    name: str
    mail: str
    pagerduty: str | None


class ShiftBody(BaseModel):
    """A shift."""

    people: list[str]
    zone: str
    begins: str
    ends: str
    weekdays: list[int]
    level: int
    country: str | None
    subdivision: str | None
    holidays: Holidays
    since: date | None
    until: date | None
    weeks: int


class StepBody(BaseModel):
    """A step."""

    after_minutes: float
    level: int
    least_severity: Severity


class RotaBody(BaseModel):
    """The rota in force; version 0: nobody has written one."""

    version: int
    people: list[PersonBody]
    shifts: list[ShiftBody]
    steps: list[StepBody]
    claims: str | None
    overrides: list[DutyOverrideBody]
    by: str | None
    reason: str | None
    at: datetime | None


class PostBody(BaseModel):
    """Somebody on duty at a level."""

    level: int
    person: PersonBody


class CallBody(BaseModel):
    """Who is told so long after something began that nobody acknowledges."""

    after_minutes: float
    people: list[PersonBody]


class FindingOfRota(BaseModel):
    """Something wrong with who is on duty."""

    code: str
    severity: str
    message: str


class ChangeBody(BaseModel):
    """When who is on duty changes."""

    at: datetime
    on_duty: list[PostBody]


class NowBody(BaseModel):
    """Who is on duty at a moment."""

    at: datetime
    on_duty: list[PostBody]
    calls: list[CallBody] = Field(description="Who would be told of something that begins then.")
    findings: list[FindingOfRota]
    next: ChangeBody | None = Field(description="The next change, within two weeks.")


class GapBody(BaseModel):
    """A time that nobody covers."""

    model_config = ConfigDict(populate_by_name=True)

    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="until")
    hours: float


class GapList(BaseModel):
    """The times that nobody covers, the first 500 of them."""

    model_config = ConfigDict(populate_by_name=True)

    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="until")
    hours: float = Field(description="Of all of them.")
    covered: float = Field(description="The share of the time that somebody covers, 0 to 1.")
    items: list[GapBody]
    next_page_token: None


class ImportBody(BaseModel):
    """What an import made."""

    dry_run: bool
    duties: int
    replaced: int = Field(description="Duties of earlier imports that were not over.")
    until: datetime | None = Field(description="When the last duty ends.")
    skipped: list[str] = Field(description="Events that were left out, and why; 100 at most.")
