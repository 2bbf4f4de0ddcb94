"""What Alertmanager is sent: `POST /api/v2/alerts`, an array of alerts, as its OpenAPI document has it."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from invoicing.alerts.links import incident_url
from invoicing.alerts.model import KEPT_ALIVE, AlertState, Said, Severity, called, shown, stamp

PATH = "/api/v2/alerts"
NAME = "InvoicingIncident"
"""The label `alertname` of every alert of ours."""

_STANDS_FOR = 4 * KEPT_ALIVE
"""An alert ends by itself when it is not sent again for so long: three repetitions may fail."""

_NOT_OF_NAMES = re.compile(r"[^a-zA-Z0-9_]")


def posted(said: Said, now: datetime, public_url: str | None = None) -> list[dict[str, Any]]:
    """Write an alert as of now: while it stands it ends a while later, so that it must be sent again.

    Labels are what tells one alert from another there. When the severity has changed, the alert of the severity before
    is ended beside.
    """
    one = _alert(said, said.alert.severity, _ends_at(said, now), public_url)
    before = [_alert(said, severity, max(now, said.alert.since), public_url) for severity in said.earlier]
    return [one, *before]


def _ends_at(said: Said, now: datetime) -> datetime:
    alert = said.alert
    if alert.state is AlertState.RESOLVED:
        # not before it began, which is refused; not later than now, which would let it stand on
        return max(alert.since, min(alert.ended_at or now, now))
    return now + (KEPT_ALIVE if said.tests else _STANDS_FOR)


def _alert(said: Said, severity: Severity, ends_at: datetime, public_url: str | None) -> dict[str, Any]:
    alert = said.alert
    link = {} if public_url is None or said.tests else {"generatorURL": incident_url(public_url, alert)}
    return {
        "labels": _labels(said, severity),
        "annotations": _annotations(said),
        "startsAt": stamp(alert.since),
        "endsAt": stamp(ends_at),
        **link,
    }


def _labels(said: Said, severity: Severity) -> dict[str, str]:
    alert = said.alert
    own = {
        "alertname": NAME,
        "service": "invoicing",
        "severity": str(severity),
        "cause": alert.cause,
        "scope": alert.scope,
        "incident": str(alert.incident_id),
    }
    return _filled({**{_name(name): value for name, value in alert.labels.items()}, **own})


def _annotations(said: Said) -> dict[str, str]:
    alert = said.alert
    return _filled(
        {
            "summary": alert.title,
            "description": alert.summary,
            "state": str(alert.state),
            "jobs": str(alert.jobs),
            "customers": str(alert.customers),
            "estimate": "" if alert.estimate is None else shown(alert.estimate),
            "runbook_url": alert.runbook,
            "fingerprint": alert.fingerprint,
            "on_call": called(alert.on_call),
            "held_up": ", ".join(f"{amount} {currency}" for currency, amount in alert.held_up.items()),
        }
    )


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    """Leave out what is empty, which means the same there as what is not there."""
    return {name: value for name, value in values.items() if value}


def _name(name: str) -> str:
    return _NOT_OF_NAMES.sub("_", name if name[:1].isalpha() else f"_{name}")
