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
_NOBODY = Blast()


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
    after = _grown(replace(incident, quiet_since=None), finding.blast)
    if incident.quiet_since is not None:
        changes.append(Change(ChangeKind.RETURNED, data={"quiet_since": incident.quiet_since}))
    changes += _raised(incident, after)
    if _derived(incident, finding):
        after = replace(after, estimate=finding.estimate, estimate_by=SERVICE if finding.estimate else None)
    if not changes and not (_stale(incident, now) and _newer(incident, finding)) and after == incident:
        return None
    blast = _with_money(finding.blast, incident)
    newest = replace(after, evidence=finding.evidence, blast=blast, reach=finding.reach, seen_at=now)
    return Step(newest, tuple(changes))


def unseen(incident: Incident, now: datetime, breaks: Blast = _NOBODY) -> Step | None:
    """Go on with a live incident whose cause was looked for and does not hold; None: nothing is to be written.

    `breaks`: the promises that it still breaks, as its jobs are late.
    """
    after = replace(incident, blast=breaks, seen_at=now)
    if incident.quiet_since is None:
        after = _grown(replace(after, quiet_since=now), breaks)
        eased = Change(ChangeKind.EASED, data={"resolves_at": now + hold_down(incident)})
        return Step(after, (eased, *_raised(incident, after)))
    if now - incident.quiet_since < hold_down(incident):
        return after_all(incident, breaks, now)
    return resolved(after, now, Change(ChangeKind.RESOLVED, data={"quiet_since": incident.quiet_since}))


def after_all(incident: Incident, breaks: Blast, now: datetime) -> Step | None:
    """Count what an incident still breaks though its cause is gone; None: nothing is to be written.

    While it is not over it may grow worse by that. Afterwards nobody is told of it again: its severity stays, and of
    what it broke the most at one time is kept.
    """
    after = replace(incident, blast=breaks, seen_at=now)
    if not incident.live:
        return Step(after) if breaks.promises_missed > incident.blast.promises_missed else None
    after = _grown(after, breaks)
    changes = tuple(_raised(incident, after))
    if not changes and (breaks == incident.blast or not _stale(incident, now)):
        return None
    return Step(after, changes)


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


def _grown(incident: Incident, blast: Blast) -> Incident:
    """Make it as bad as whom it touches says; it never becomes less bad."""
    return replace(incident, severity=worst(incident.severity, severity(incident.cause, incident.scope, blast)))


def _raised(before: Incident, after: Incident) -> list[Change]:
    if after.severity is before.severity:
        return []
    return [Change(ChangeKind.SEVERITY_RAISED, data={"from": before.severity, "to": after.severity})]


def _stale(incident: Incident, now: datetime) -> bool:
    return incident.seen_at is None or now - incident.seen_at >= SEEN_EVERY


def _derived(incident: Incident, finding: Finding) -> bool:
    """Tell whether its estimate is the service's own, and another now; what a person said stands."""
    return incident.estimate_by in {None, SERVICE} and finding.estimate != incident.estimate


def _newer(incident: Incident, finding: Finding) -> bool:
    blast = _with_money(finding.blast, incident)
    return (incident.evidence, incident.blast, incident.reach) != (finding.evidence, blast, finding.reach)


def _with_money(blast: Blast, incident: Incident) -> Blast:
    """Keep what was known of money: it is counted when an incident is written, and no reason to write one."""
    return replace(blast, money=incident.blast.money, money_at_least=incident.blast.money_at_least)
