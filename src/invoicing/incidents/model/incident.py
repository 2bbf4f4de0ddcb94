"""An incident, what was found to hold, whom it touches, and what happened to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from invoicing.incidents.model.causes import Cause

SERVICE = "service"
"""Who changed something where no person did."""


class IncidentState(StrEnum):
    """How far people and the service have come with it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How bad an incident is, S1 the worst."""

    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"


class ChangeKind(StrEnum):
    """What may happen to an incident; each leaves a row of its timeline."""

    OPENED = "opened"
    SEVERITY_RAISED = "severity_raised"
    EASED = "eased"
    RETURNED = "returned"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    NOTED = "noted"
    ESTIMATED = "estimated"
    MERGED = "merged"
    RESOLVED = "resolved"
    REOPENED = "reopened"
    SILENCED = "silenced"
    ANNOUNCED = "announced"
    ESCALATED = "escalated"


TOLD = frozenset(
    {
        ChangeKind.OPENED,
        ChangeKind.SEVERITY_RAISED,
        ChangeKind.ACKNOWLEDGED,
        ChangeKind.ESTIMATED,
        ChangeKind.MERGED,
        ChangeKind.RESOLVED,
        ChangeKind.REOPENED,
    }
)
"""What others are told of; the rest is for whoever looks."""


@dataclass(frozen=True)
class Blast:
    """Whom it touches now. Counts are bounded; `at_least`: there are more than were counted."""

    jobs: int = 0
    customers: int = 0
    promises_at_risk: int = 0
    promises_missed: int = 0
    oldest: datetime | None = None
    """When the job was submitted that waits longest, of those that come first in their queues."""
    at_least: bool = False
    money: Mapping[str, Decimal] = field(default_factory=dict)
    """What the jobs that the cause holds are about, as far as their kinds know, by currency: never added up."""
    money_at_least: bool = False


@dataclass(frozen=True)
class Reach:
    """Which jobs an incident touches, told by what they are rather than by their ids; None: whichever."""

    lanes: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    spares: frozenset[str] = frozenset()
    """Kinds that it does not touch."""
    customers: frozenset[UUID] | None = None
    workers: frozenset[UUID] | None = None
    """Of running jobs: who has them."""
    error: str | None = None
    """The code with which they failed."""
    needs: str | None = None
    """What they need from outside."""


@dataclass(frozen=True)
class Finding:
    """A cause that is proven to hold for a scope, with its evidence."""

    cause: Cause
    scope: str
    since: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    blast: Blast = field(default_factory=Blast)
    reach: Reach = field(default_factory=Reach)
    estimate: datetime | None = None
    """When it should be over, where that follows from the evidence."""
    latest: datetime | None = None
    """Of causes that are events: the latest of them. What was before an incident was resolved does not reopen it."""

    @property
    def fingerprint(self) -> tuple[Cause, str]:
        """What makes two findings the same incident: never a job."""
        return self.cause, self.scope


@dataclass(frozen=True)
class Incident:
    """One cause, many jobs, from when it was proven until they have moved on."""

    id: UUID
    cause: Cause
    scope: str
    state: IncidentState
    severity: Severity
    since: datetime
    """When the cause began to hold."""
    opened_at: datetime
    evidence: Mapping[str, Any]
    blast: Blast
    reach: Reach
    quiet_since: datetime | None = None
    """Since when the cause is not seen any more; it is over when that has lasted."""
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    assignee: str | None = None
    estimate: datetime | None = None
    estimate_by: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    reopenings: int = 0
    merged_into: UUID | None = None
    revision: int = 0
    """How many rows its timeline has."""
    seen_at: datetime | None = None
    """When evidence and blast radius were written last."""

    @property
    def fingerprint(self) -> tuple[Cause, str]:
        """What makes it this incident and no other."""
        return self.cause, self.scope

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state is not IncidentState.RESOLVED


@dataclass(frozen=True)
class Change:
    """Something that happens to an incident: a row of its timeline."""

    kind: ChangeKind
    by: str = SERVICE
    text: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A row of an incident's timeline."""

    seq: int
    at: datetime
    change: Change


@dataclass(frozen=True)
class Step:
    """An incident as it is after a look or an act, and what happened to it; nothing: only its figures are newer."""

    incident: Incident
    changes: tuple[Change, ...] = ()


SEEN_EVERY = timedelta(seconds=5)
"""How often new figures of a cause that goes on are written."""
