"""What PagerDuty is sent: Events API version 2, `POST /v2/enqueue`.

An event names no user to be called: it goes to the service of its integration key, whose schedules call. Its details
have the users there of those on duty here (`on_call_users`, in the order of their turns), for rules that read them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from invoicing.alerts.links import incident_url
from invoicing.alerts.model import AlertState, Said, Severity, called, shown, stamp

ENQUEUE = "https://events.pagerduty.com/v2/enqueue"

_ACTIONS = MappingProxyType(
    {AlertState.OPEN: "trigger", AlertState.ACKNOWLEDGED: "acknowledge", AlertState.RESOLVED: "resolve"}
)
_SEVERITIES = MappingProxyType(
    {Severity.S1: "critical", Severity.S2: "error", Severity.S3: "warning", Severity.S4: "info"}
)
_LONGEST_SUMMARY = 1024
"""Characters; more are refused."""

_LONGEST_DETAIL = 4096


def event_of(said: Said, routing_key: str, public_url: str | None = None) -> dict[str, Any]:
    """Write an event: trigger, acknowledge or resolve, each naming the incident by its id (`dedup_key`)."""
    alert = said.alert
    event = {
        "routing_key": routing_key,
        "event_action": _ACTIONS[alert.state],
        "dedup_key": str(alert.incident_id),
    }
    return event if alert.state is not AlertState.OPEN else event | _described(said, public_url)


def _described(said: Said, public_url: str | None) -> dict[str, Any]:
    alert = said.alert
    links = [{"href": alert.runbook, "text": "What to do"}] if _is_url(alert.runbook) else []
    client = {} if public_url is None or said.tests else {"client_url": incident_url(public_url, alert)}
    return {
        "client": "invoicing",
        **client,
        **({"links": links} if links else {}),
        "payload": {
            "summary": f"[{alert.severity}] {alert.title}"[:_LONGEST_SUMMARY],
            "source": "invoicing",
            "severity": _SEVERITIES[alert.severity],
            "timestamp": stamp(alert.since),
            "component": alert.scope,
            "class": alert.cause,
            "custom_details": _details(said),
        },
    }


def _details(said: Said) -> Mapping[str, Any]:
    alert = said.alert
    users = [one.pagerduty for one in sorted(alert.on_call, key=lambda one: one.at) if one.pagerduty]
    return {
        "summary": alert.summary[:_LONGEST_DETAIL],
        "severity": alert.severity,
        "jobs": alert.jobs,
        "customers": alert.customers,
        "estimate": None if alert.estimate is None else shown(alert.estimate),
        "runbook": alert.runbook,
        "fingerprint": alert.fingerprint,
        **({"held_up": dict(alert.held_up)} if alert.held_up else {}),
        **({"on_call": called(alert.on_call)} if alert.on_call else {}),
        **({"on_call_users": users} if users else {}),
        **alert.labels,
    }


def _is_url(text: str) -> bool:
    return text.startswith(("https://", "http://"))
