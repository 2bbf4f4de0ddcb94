"""An alert: what is said of an incident, as a value and as it is written down; and a channel that it goes to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from invoicing.outbox.model import Channel


class Severity(StrEnum):
    """How bad an incident is, S1 the worst."""

    S1 = "S1"
    S2 = "S2"
    S3 = "S3"
    S4 = "S4"


class AlertState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class ChannelKind(StrEnum):
    """What kind of receiver a channel leads to."""

    ALERTMANAGER = "alertmanager"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"
    MAIL = "mail"
    CHAT = "chat"


CHANNEL_OF: Mapping[ChannelKind, Channel] = {
    ChannelKind.ALERTMANAGER: Channel.ALERTMANAGER,
    ChannelKind.PAGERDUTY: Channel.PAGERDUTY,
    ChannelKind.WEBHOOK: Channel.ALERT_WEBHOOK,
    ChannelKind.MAIL: Channel.ALERT_MAIL,
    ChannelKind.CHAT: Channel.CHAT,
}
KIND_OF: Mapping[Channel, ChannelKind] = {channel: kind for kind, channel in CHANNEL_OF.items()}

EVENTS: Mapping[AlertState, str] = {state: f"alert.{state}" for state in AlertState}
"""The event of the message that says it."""

TEST = "alert.test"
"""The event of a message that was asked for to try a channel out."""

TESTED = "test"
"""The cause of an alert that is none."""

MOST_CHANNELS = 50
"""Each incident is told to all of them, at every change."""

KEPT_ALIVE = timedelta(seconds=60)
"""How often a channel that forgets is told again of an alert that stands."""

NAME_OF_ENVIRONMENT = "alertmanager"
"""The name of the channel that the environment adds."""


MERGING = frozenset({ChannelKind.ALERTMANAGER, ChannelKind.PAGERDUTY, ChannelKind.WEBHOOK})
"""Receivers that add a message to what they know of its incident, and disturb nobody with it."""


@dataclass(frozen=True)
class Turn:
    """Somebody who was called about an incident, or will be if nobody acknowledges it before."""

    name: str
    level: int
    at: datetime
    pagerduty: str | None = None
    """Their user there."""


@dataclass(frozen=True)
class Alert:
    """What is said of an incident at one of its revisions."""

    incident_id: UUID
    fingerprint: str
    cause: str
    scope: str
    severity: Severity
    state: AlertState
    title: str
    summary: str
    since: datetime
    ended_at: datetime | None
    jobs: int
    customers: int
    runbook: str
    """An anchor of the operations page, or a URL."""
    estimate: datetime | None
    """When it is expected to be over; None: nobody knows."""
    revision: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further facts that an alert can be routed by."""
    on_call: Sequence[Turn] = ()
    """Who was called, and who will be."""
    held_up: Mapping[str, str] = field(default_factory=dict)
    """What the jobs are about that it holds, by currency."""

    @property
    def stands(self) -> bool:
        """Whether the incident is not over."""
        return self.state is not AlertState.RESOLVED


@dataclass(frozen=True)
class Said:
    """A message about an alert, read back."""

    event: str
    at: datetime
    alert: Alert
    earlier: Sequence[Severity] = ()
    """Severities that the incident had before."""

    @property
    def tests(self) -> bool:
        """Whether it was asked for to try a channel out."""
        return self.event == TEST


@dataclass(frozen=True)
class AlertChannel:
    """Where alerts go, without secrets."""

    id: UUID
    name: str
    kind: ChannelKind
    target: str
    """What of its address may be shown."""
    least: Severity
    """It is told of incidents at least so bad, and of what becomes of those that were."""
    answers: bool
    """Whether acknowledgements can come back from it by its own means."""
    from_environment: bool
    created_at: datetime
    failures: int
    open_until: datetime | None


def wanted(severity: Severity, least: Severity) -> bool:
    """Tell whether an incident is bad enough for a channel."""
    return severity <= least


def data_of(alert: Alert, earlier: Sequence[Severity] = ()) -> dict[str, Any]:
    """Write an alert down."""
    return {
        "incident_id": str(alert.incident_id),
        "revision": alert.revision,
        "state": alert.state,
        "severity": alert.severity,
        "earlier_severities": list(earlier),
        "title": alert.title,
        "summary": alert.summary,
        "cause": alert.cause,
        "scope": alert.scope,
        "fingerprint": alert.fingerprint,
        "since": stamp(alert.since),
        "ended_at": None if alert.ended_at is None else stamp(alert.ended_at),
        "estimate": None if alert.estimate is None else stamp(alert.estimate),
        "jobs": alert.jobs,
        "customers": alert.customers,
        "runbook": alert.runbook,
        "labels": dict(alert.labels),
        "on_call": [_data_of_turn(one) for one in alert.on_call],
        **({"held_up": dict(alert.held_up)} if alert.held_up else {}),
    }


def _data_of_turn(turn: Turn) -> dict[str, Any]:
    pager = {"pagerduty": turn.pagerduty} if turn.pagerduty else {}
    return {"name": turn.name, "level": turn.level, "at": stamp(turn.at), **pager}


def body_of(event: str, at: datetime, data: Mapping[str, Any]) -> str:
    """Write a message, as a signed webhook is sent it."""
    return json.dumps({"type": event, "timestamp": stamp(at), "data": data}, ensure_ascii=False)


def said_in(body: str) -> Said:
    """Read a message back."""
    read = json.loads(body)
    data = read["data"]
    earlier = tuple(Severity(one) for one in data["earlier_severities"])
    return Said(read["type"], datetime.fromisoformat(read["timestamp"]), alert_in(data), earlier)


def alert_in(data: Mapping[str, Any]) -> Alert:
    """Read an alert back."""
    return Alert(
        incident_id=UUID(data["incident_id"]),
        fingerprint=data["fingerprint"],
        cause=data["cause"],
        scope=data["scope"],
        severity=Severity(data["severity"]),
        state=AlertState(data["state"]),
        title=data["title"],
        summary=data["summary"],
        since=datetime.fromisoformat(data["since"]),
        ended_at=None if data["ended_at"] is None else datetime.fromisoformat(data["ended_at"]),
        estimate=None if data["estimate"] is None else datetime.fromisoformat(data["estimate"]),
        jobs=data["jobs"],
        customers=data["customers"],
        runbook=data["runbook"],
        revision=data["revision"],
        labels=data["labels"],
        on_call=tuple(
            Turn(one["name"], one["level"], datetime.fromisoformat(one["at"]), one.get("pagerduty"))
            for one in data.get("on_call", ())  # a message of an earlier build has none
        ),
        held_up=data.get("held_up", {}),
    )


def repeats_of(kind: ChannelKind, alert: Alert) -> timedelta | None:
    """Say how often a message is sent again while it is the last word; None: once is enough."""
    return KEPT_ALIVE if kind is ChannelKind.ALERTMANAGER and alert.stands else None


def trial(incident_id: UUID, at: datetime, name: str, state: AlertState = AlertState.OPEN) -> Alert:
    """Make an alert that tries a channel out."""
    return Alert(
        incident_id=incident_id,
        fingerprint=f"{TESTED}:{name}",
        cause=TESTED,
        scope=name,
        severity=Severity.S4,
        state=state,
        title=f"Test of the channel {name}",
        summary="Somebody asked for this message to see whether it arrives. Nothing is wrong.",
        since=at,
        ended_at=at if state is AlertState.RESOLVED else None,
        jobs=0,
        customers=0,
        runbook="",
        estimate=None,
        revision=1 if state is AlertState.OPEN else 2,
    )


def stamp(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def shown(moment: datetime) -> str:
    """Write a moment for people."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def called(turns: Sequence[Turn]) -> str:
    """Name for people who is called when."""
    return ", ".join(f"{one.name} (level {one.level}, {shown(one.at)})" for one in turns)
