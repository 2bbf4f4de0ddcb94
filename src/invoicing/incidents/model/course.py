"""The course of an incident: opened, eased and returned, resolved by itself, reopened, changed by people.

A cause that comes and goes is one incident. It is not over before its cause was quiet for a while, and one that had to
be reopened must be quiet for much longer: so it is opened or reopened at most twice in any ten minutes.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.incidents.model.causes import OPENS_AFTER
from invoicing.incidents.model.incident import (
    SEEN_EVERY,
    SERVICE,
    Blast,
    Change,
    ChangeKind,
    Finding,
    Incident,
    IncidentState,
    Step,
)
from invoicing.incidents.model.severity import severity, worst

HOLD_DOWN = timedelta(seconds=30)
"""How long a cause must be quiet before its incident is resolved."""

HOLD_DOWN_WHEN_FLAPPING = timedelta(minutes=10)
"""The same for one that was reopened."""

REOPENS_WITHIN = timedelta(minutes=30)
"""A cause that comes back so soon after its incident was resolved reopens that one."""

_NONE = timedelta(0)


def hold_down(incident: Incident) -> timedelta:
    """Say how long its cause must be quiet before it is over."""
    return HOLD_DOWN_WHEN_FLAPPING if incident.reopenings else HOLD_DOWN


def resolves_at(incident: Incident) -> datetime | None:
    """Say when it will be over if its cause stays quiet; None while the cause holds, or when it is over."""
    if incident.quiet_since is None or not incident.live:
        return None
    return incident.quiet_since + hold_down(incident)


def may_open(finding: Finding, now: datetime) -> bool:
    """Tell whether a cause has held for long enough to be an incident."""
    return now - finding.since >= OPENS_AFTER.get(finding.cause, _NONE)


def opened(incident_id: UUID, finding: Finding, now: datetime) -> Step:
    """Open an incident."""
    incident = Incident(
        id=incident_id,
        cause=finding.cause,
        scope=finding.scope,
        state=IncidentState.OPEN,
        severity=severity(finding.cause, finding.scope, finding.blast),
        since=finding.since,
        opened_at=now,
        evidence=finding.evidence,
        blast=finding.blast,
        reach=finding.reach,
        estimate=finding.estimate,
        estimate_by=None if finding.estimate is None else SERVICE,
        seen_at=now,
    )
    return Step(incident, (Change(ChangeKind.OPENED, data={"severity": incident.severity}),))


def seen(incident: Incident, finding: Finding, now: datetime) -> Step | None:
    """Go on with an incident whose cause holds; None: nothing is to be written."""
    if not incident.live:
        return _reopened(incident, finding, now)
    changes = []
    after = replace(incident, quiet_since=None)
    if incident.quiet_since is not None:
        changes.append(Change(ChangeKind.RETURNED, data={"quiet_since": incident.quiet_since}))
    grown = worst(incident.severity, severity(incident.cause, incident.scope, finding.blast))
    if grown is not incident.severity:
        after = replace(after, severity=grown)
        changes.append(Change(ChangeKind.SEVERITY_RAISED, data={"from": incident.severity, "to": grown}))
    if _derived(incident, finding):
        after = replace(after, estimate=finding.estimate, estimate_by=SERVICE if finding.estimate else None)
    stale = incident.seen_at is None or now - incident.seen_at >= SEEN_EVERY
    if not changes and not (stale and _newer(incident, finding)) and after == incident:
        return None
    newest = replace(after, evidence=finding.evidence, blast=finding.blast, reach=finding.reach, seen_at=now)
    return Step(newest, tuple(changes))


def unseen(incident: Incident, now: datetime) -> Step | None:
    """Go on with a live incident whose cause was looked for and does not hold; None: nothing is to be written."""
    if incident.quiet_since is None:
        after = replace(incident, quiet_since=now, blast=Blast(), seen_at=now)
        return Step(after, (Change(ChangeKind.EASED, data={"resolves_at": now + hold_down(incident)}),))
    if now - incident.quiet_since < hold_down(incident):
        return None
    return resolved(incident, now, Change(ChangeKind.RESOLVED, data={"quiet_since": incident.quiet_since}))


def resolved(incident: Incident, now: datetime, change: Change) -> Step:
    """End an incident."""
    after = replace(incident, state=IncidentState.RESOLVED, resolved_at=now, resolved_by=change.by, quiet_since=None)
    return Step(after, (change,))


def settled(incident: Incident, finding: Finding) -> bool:
    """Tell whether a finding says nothing that was not known when its incident was resolved."""
    return incident.resolved_at is not None and finding.latest is not None and finding.latest <= incident.resolved_at


def _reopened(incident: Incident, finding: Finding, now: datetime) -> Step:
    fresh = opened(incident.id, finding, now).incident
    after = replace(
        fresh,
        since=incident.since,
        opened_at=incident.opened_at,
        assignee=incident.assignee,
        reopenings=incident.reopenings + 1,
        revision=incident.revision,
    )
    return Step(after, (Change(ChangeKind.REOPENED, data={"severity": after.severity, "since": finding.since}),))


def _derived(incident: Incident, finding: Finding) -> bool:
    """Tell whether its estimate is the service's own, and another now; what a person said stands."""
    return incident.estimate_by in {None, SERVICE} and finding.estimate != incident.estimate


def _newer(incident: Incident, finding: Finding) -> bool:
    return (incident.evidence, incident.blast, incident.reach) != (finding.evidence, finding.blast, finding.reach)
