"""What people may do to an incident, and what comes of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.course import resolved
from invoicing.incidents.model.incident import SERVICE, Change, ChangeKind, Incident, IncidentState, Step


@dataclass(frozen=True)
class Acknowledge:
    """Say that somebody looks after it."""


@dataclass(frozen=True)
class Assign:
    """Put it into somebody's hands; None: into nobody's."""

    to: str | None


@dataclass(frozen=True)
class Note:
    """Write something down."""


@dataclass(frozen=True)
class Estimate:
    """Say when it should be over; None: nobody knows, the service may derive it again."""

    at: datetime | None


@dataclass(frozen=True)
class Merge:
    """Go on with it as a part of another."""

    into: UUID


@dataclass(frozen=True)
class Resolve:
    """Say that it is over."""


Wish = Acknowledge | Assign | Note | Estimate | Merge | Resolve

FOR_PEOPLE = frozenset({Cause.POISON})
"""Causes that last until a person has dealt with them, and which a person may therefore call over."""


def holds(incident: Incident) -> bool:
    """Tell whether its cause is seen to hold; a person cannot talk that away."""
    return incident.live and incident.quiet_since is None and incident.cause not in FOR_PEOPLE


def acted(incident: Incident, wish: Wish, by: str, text: str | None, now: datetime) -> Step | None:
    """Do to a live incident what a person wishes; None: it is so already."""
    if _so_already(incident, wish):
        return None
    match wish:
        case Acknowledge():
            after = replace(incident, state=IncidentState.ACKNOWLEDGED, acknowledged_at=now, acknowledged_by=by)
            step = Step(after, (Change(ChangeKind.ACKNOWLEDGED, by, text),))
        case Assign(to):
            data = {"from": incident.assignee, "to": to}
            step = Step(replace(incident, assignee=to), (Change(ChangeKind.ASSIGNED, by, text, data),))
        case Note():
            step = Step(incident, (Change(ChangeKind.NOTED, by, text),))
        case Estimate(at):
            after = replace(incident, estimate=at, estimate_by=None if at is None else by)
            step = Step(after, (Change(ChangeKind.ESTIMATED, by, text, {"from": incident.estimate, "to": at}),))
        case Merge(into):
            step = merged(incident, into, by, text, now)
        case Resolve():
            step = resolved(incident, now, Change(ChangeKind.RESOLVED, by, text))
    return step


def _so_already(incident: Incident, wish: Wish) -> bool:
    match wish:
        case Acknowledge():
            return incident.state is IncidentState.ACKNOWLEDGED
        case Assign(to):
            return incident.assignee == to
        case Estimate(at):
            return incident.estimate == at and incident.estimate_by != SERVICE
        case _:
            return False


def merged(incident: Incident, into: UUID, by: str, text: str | None, now: datetime) -> Step:
    """End an incident that goes on as a part of another."""
    step = resolved(incident, now, Change(ChangeKind.MERGED, by, text, {"into": into}))
    return Step(replace(step.incident, merged_into=into), step.changes)
