"""Telling the channels of ops what becomes of an incident: one alert, from its opening to its end."""

import re
from collections.abc import Sequence

from invoicing.alerts import service as alerts
from invoicing.alerts.model import Alert, AlertState, Severity, Turn
from invoicing.diagnosis.words import FALLBACK, Audience
from invoicing.incidents import on_call
from invoicing.incidents.model.calling import turns
from invoicing.incidents.model.incident import Blast, Change, Incident
from invoicing.incidents.words import runbooks, title
from invoicing.kit.db import Session

_TO_DO = re.compile(r"^- \*Do\*: (.*?)(?=^- |\Z)", re.DOTALL | re.MULTILINE)


async def tell(session: Session, incident: Incident, change: Change) -> None:
    """Announce a change, in the transaction that writes it, unless maintenance keeps ops from being told."""
    if await on_call.silent(session, incident):
        return
    called = turns(incident, await on_call.progress_of(session, incident.id), await on_call.facts(session))
    await alerts.announce(session, alert_of(incident, change, called))


def alert_of(incident: Incident, change: Change | None = None, called: Sequence[Turn] = ()) -> Alert:
    """Say of an incident what a channel is told at its present revision; why it changed, where somebody said so."""
    kind, _, name = incident.scope.partition(":")
    return Alert(
        incident_id=incident.id,
        fingerprint=f"{incident.cause}:{incident.scope}",
        cause=incident.cause,
        scope=incident.scope,
        severity=Severity(incident.severity),
        state=AlertState(incident.state),
        title=title(incident, FALLBACK, Audience.STAFF),
        summary=" ".join([*_touched(incident.blast), *_said(change), *_first_step(incident)]),
        since=incident.since,
        ended_at=incident.resolved_at,
        jobs=incident.blast.jobs,
        customers=incident.blast.customers,
        runbook=f"invoicing incidents show {incident.id}",
        estimate=incident.estimate,
        revision=incident.revision,
        labels={kind: name} if name else {},
        on_call=called,
        held_up={currency: f"{amount:f}" for currency, amount in sorted(incident.blast.money.items())},
    )


def _touched(blast: Blast) -> list[str]:
    found = [f"It touches {_counted(blast.jobs, 'job', blast)} of {_counted(blast.customers, 'customer', blast)}."]
    if blast.promises_missed or blast.promises_at_risk:
        found.append(f"Promises missed: {blast.promises_missed}, at risk: {blast.promises_at_risk}.")
    if blast.money:
        found.append(f"It holds up {'at least ' if blast.money_at_least else ''}{', '.join(_money(blast))}.")
    if blast.oldest is not None:
        found.append(f"The oldest was submitted at {blast.oldest:%Y-%m-%d %H:%M} UTC.")
    return found


def _counted(number: int, noun: str, blast: Blast) -> str:
    many = " or more" if blast.at_least else ""
    return f"{number}{many} {noun}{'' if number == 1 and not many else 's'}"


def _money(blast: Blast) -> list[str]:
    return [f"{blast.money[currency]:f} {currency}" for currency in sorted(blast.money)]


def _said(change: Change | None) -> list[str]:
    if change is None or not change.text:
        return []
    return [f"{change.by}: {change.text.rstrip('.')}."]


def _first_step(incident: Incident) -> list[str]:
    """Give what the runbook says is to be done, while there is something to do."""
    found = _TO_DO.search(runbooks().get(incident.cause, ""))
    return [f"What to do: {' '.join(found[1].split())}"] if incident.live and found else []
