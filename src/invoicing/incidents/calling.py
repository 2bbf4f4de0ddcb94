"""Calling those on duty: what is due about an incident is written with the messages about it, in one transaction.

Any number of detectors may do it: what one has written is not due any more when another has the incident's row.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from invoicing.alerts import service as alerts
from invoicing.incidents import on_call
from invoicing.incidents.alerting import alert_of
from invoicing.incidents.model.calling import (
    Announce,
    Call,
    Due,
    Facts,
    Progress,
    Silence,
    Summon,
    due,
    turns,
)
from invoicing.incidents.model.incident import Change, ChangeKind, Incident, Step
from invoicing.incidents.model.silence import silencing
from invoicing.incidents.store import calls, rows
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.maintenance import service as maintenance
from invoicing.maintenance.model import Window
from invoicing.rota.model import Person

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """All that decides what is due."""

    facts: Facts
    windows: Sequence[Window]
    progress: dict[UUID, Progress]
    told: frozenset[UUID]

    def due(self, incident: Incident) -> Due | None:
        """Say what is due about a live incident."""
        window = silencing(incident, self.windows, self.facts.now)
        progress = self.progress.get(incident.id, Progress())
        return due(incident, progress, self.facts, window, told=incident.id in self.told)


async def waiting(session: Session) -> list[UUID]:
    """Name the live incidents about which something is due to ops; one statement while there is none."""
    live = [one for one in await rows.live(session) if one.live]
    if not live:
        return []
    known = await _known(session, live)
    return [one.id for one in live if known.due(one) is not None]


async def attend(session: Session, incident_id: UUID, *, mails: bool) -> bool:
    """Do what is due about an incident; False: nothing is, any more. `mails`: whether the service can send any."""
    incident = (await rows.locked(session, [incident_id])).get(incident_id)
    if incident is None or not incident.live:
        return False
    known = await _known(session, [incident])
    progress = known.progress.get(incident.id, Progress())
    match known.due(incident):
        case Silence(window):
            await _silence(session, incident, window)
        case Announce():
            await _announce(session, incident, progress, known.facts)
        case Summon(()):
            await calls.begin(session, incident, known.facts.now)
        case Summon() as summon:
            await _summon(session, incident, progress, known.facts, summon, mails=mails)
        case None:
            return False
    return True


async def _known(session: Session, incidents: Sequence[Incident]) -> _Known:
    windows, _ = await maintenance.windows(session)
    progress = await calls.progress(session, [one.id for one in incidents])
    return _Known(await on_call.facts(session), windows, dict(progress), frozenset(await alerts.announced(session)))


async def _silence(session: Session, incident: Incident, window: Window) -> None:
    data = {"window": window.id, "until": window.ends}
    text = f"{window.internal_reason or window.reason} (maintenance until {rfc3339(window.ends)})"
    await _written(session, incident, Change(ChangeKind.SILENCED, text=text, data=data))
    await calls.silence(session, incident, window.id)


async def _announce(session: Session, incident: Incident, progress: Progress, facts: Facts) -> None:
    written = await _written(session, incident, Change(ChangeKind.ANNOUNCED))
    await calls.silence(session, incident, None)
    await alerts.announce(session, alert_of(written, called=turns(written, progress, facts)))


async def _summon(
    session: Session, incident: Incident, progress: Progress, facts: Facts, summon: Summon, *, mails: bool
) -> None:
    """Call people; channels that merge what they are told are told whom, except of the first: they know that."""
    people = {post.person: _person(facts, post.person) for post in summon.posts}
    fresh = [Call(one.person, people[one.person].name, one.level, facts.now) for one in summon.posts]
    if progress.since is None:
        await calls.begin(session, incident, facts.now)
    await calls.add(session, incident, fresh)
    after = replace(progress, since=progress.since or facts.now, calls=(*progress.calls, *fresh))
    data = {"people": [{"person": one.person, "name": one.name, "level": one.level} for one in fresh]}
    text = ", ".join(f"{one.name} (level {one.level})" for one in fresh)
    written = await _written(session, incident, Change(ChangeKind.ESCALATED, text=text, data=data))
    alert = alert_of(written, called=turns(written, after, facts))
    if mails:
        for person in people.values():
            await alerts.call(session, alert, person.mail)
    if progress.calls:
        await alerts.announce(session, alert, merging=True)


def _person(facts: Facts, name: str) -> Person:
    if facts.rota is None:
        raise ValueError("nobody is called without a rota")
    return facts.rota.person(name)


async def _written(session: Session, incident: Incident, change: Change) -> Incident:
    """Put a change on the timeline of an incident that is locked."""
    written = await rows.write(session, Step(incident, (change,)), incident.revision, await rows.clock(session))
    if written is None:
        raise ValueError("a row that is locked has changed")
    extra = {
        "action": f"incident.{change.kind}",
        "incident_id": str(incident.id),
        "cause": incident.cause,
        "scope": incident.scope,
        "severity": incident.severity,
    }
    log.warning("an incident changed", extra=extra)
    return written
