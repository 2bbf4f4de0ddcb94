"""Keeping incidents: what was found is compared with what is kept, and every change is written and told."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.incidents import reaching
from invoicing.incidents.looking import Look, look
from invoicing.incidents.model import course
from invoicing.incidents.model.acts import merged
from invoicing.incidents.model.aftermath import with_charges
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.combining import combined
from invoicing.incidents.model.incident import SERVICE, TOLD, Blast, Change, Finding, Incident, Step
from invoicing.incidents.store import facts, rows
from invoicing.kit.db import Session, is_away
from invoicing.kit.ids import new_id

log = logging.getLogger(__name__)

KEPT = timedelta(days=400)
"""How long incidents are kept after they were resolved."""

Fingerprint = tuple[Cause, str]

Tell = Callable[[Session, Incident, Change], Awaitable[None]]
"""Tells others of a change, in the transaction that writes it: a message that is written then is never lost."""


async def nobody(_session: Session, _incident: Incident, _change: Change) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class _Written:
    """A change that is due: the step, and the revision that the incident is expected to have."""

    step: Step
    was: int | None


async def keep(session: Session, *, thorough: bool = True, tell: Tell = nobody) -> int | None:
    """Look once and keep what was found; gives how many incidents changed, None while somebody else looks.

    A finding that cannot be kept is logged and left out; the others go on.
    """
    moment = await facts.alone(session)
    if moment is None:
        return None
    known = await rows.current(session)
    seen = await look(session, moment, known, thorough=thorough)
    changed = 0
    for due in due_now(known, seen, moment.now):
        worth = await _with_money(session, due, known)
        changed += await _kept(session, worth, moment.now, tell)
    return changed


async def _with_money(session: Session, due: _Written, known: Collection[Incident]) -> _Written:
    """Count what the jobs are about that an incident holds now; it goes on without where that fails."""
    incident = due.step.incident
    if not (incident.live and incident.blast.jobs) or incident.quiet_since is not None:
        return due
    parts = [one for one in known if one.merged_into == incident.id]
    try:
        async with session.begin_nested():
            found = await reaching.held_up(session, incident, parts)
    except Exception as error:
        if is_away(error):
            raise
        extra = {"action": "incidents.source_failed", "causes": [incident.cause], "incident_id": str(incident.id)}
        log.exception("cannot count what is held up", extra=extra)
        return due
    blast = replace(incident.blast, money=found.by_currency, money_at_least=found.at_least)
    return replace(due, step=replace(due.step, incident=replace(incident, blast=blast)))


async def forget(session: Session) -> int:
    """Remove incidents of long ago; gives how many, up to a bound."""
    return await rows.forget(session, KEPT)


def due_now(known: Collection[Incident], seen: Look, now: datetime) -> Iterator[_Written]:
    """Say what is to be written: of each incident once; what absorbs others before these."""
    homes = _Homes(known)
    belonging: dict[Fingerprint, list[Finding]] = {}
    for finding in seen.findings:
        belonging.setdefault(homes.of(finding), []).append(finding)
    found = {home: _with_charges(homes.known(home), combined(ones), seen) for home, ones in belonging.items()}
    absorbed = set[UUID]()
    for home, finding in found.items():
        incident = homes.known(home)
        step = _of_found(incident, finding, now)
        if step is not None:
            yield _Written(step, None if incident is None else incident.revision)
        whole = step.incident if step is not None else incident
        if whole is not None and whole.live:
            for part in homes.narrower(home):
                absorbed.add(part.id)
                yield _Written(merged(part, whole.id, SERVICE, None, now), part.revision)
    for incident in homes.live.values():
        gone = incident.fingerprint not in found and incident.id not in absorbed
        breaks = seen.charges.get(incident.id, Blast())
        step = course.unseen(incident, now, breaks) if gone and homes.causes_of(incident) <= seen.looked_for else None
        if step is not None:
            yield _Written(step, incident.revision)
    again = {one.id for one in map(homes.known, found) if one is not None}
    yield from _after_all(seen, again, now)


def _with_charges(incident: Incident | None, finding: Finding, seen: Look) -> Finding:
    """Add to a finding the promises that its incident breaks of jobs that it holds no more."""
    charges = None if incident is None or not incident.live else seen.charges.get(incident.id)
    return finding if charges is None else replace(finding, blast=with_charges(finding.blast, charges))


def _after_all(seen: Look, again: Collection[UUID], now: datetime) -> Iterator[_Written]:
    """Count on for incidents that are over, while promises break because of them."""
    for incident in seen.charged:
        over = not incident.live and incident.id not in again
        step = course.after_all(incident, seen.charges[incident.id], now) if over else None
        if step is not None:
            yield _Written(step, incident.revision)


def _of_found(incident: Incident | None, finding: Finding, now: datetime) -> Step | None:
    """Go on with what is kept of a cause that holds, or open it; None: nothing is to be written."""
    if incident is not None and incident.live:
        return course.seen(incident, finding, now)
    if not course.may_open(finding, now) or (incident is not None and course.settled(incident, finding)):
        return None
    return course.opened(new_id(), finding, now) if incident is None else course.seen(incident, finding, now)


class _Homes:
    """Which incident a finding belongs to: its own, the one that this was merged with, or that of all lanes."""

    def __init__(self, known: Collection[Incident]) -> None:
        self.live = {one.fingerprint: one for one in known if one.live}
        self._by_id = {one.id: one for one in known}
        self._parts = {one.fingerprint: one for one in known if self._whole(one) is not None}
        over = sorted((one for one in known if not one.live), key=lambda one: one.resolved_at or one.opened_at)
        self._over = {one.fingerprint: one for one in over if one.merged_into is None}

    def of(self, finding: Finding) -> Fingerprint:
        """Name the incident that a finding belongs to, whether there is one or it would be opened."""
        own = finding.fingerprint
        if own in self.live:
            return own
        part = self._parts.get(own)
        whole = None if part is None else self._whole(part)
        if whole is not None:
            return whole.fingerprint
        everywhere = (finding.cause, EVERYWHERE)
        return everywhere if everywhere in self.live else own

    def known(self, home: Fingerprint) -> Incident | None:
        """Give the live incident, or the last one that is just over."""
        return self.live.get(home) or self._over.get(home)

    def narrower(self, home: Fingerprint) -> list[Incident]:
        """List the live incidents of the same cause that one which holds everything takes over."""
        if home[1] != EVERYWHERE:
            return []
        return [one for one in self.live.values() if one.cause is home[0] and one.scope != EVERYWHERE]

    def causes_of(self, incident: Incident) -> frozenset[Cause]:
        """Name the causes that an incident stands for."""
        parts = (one.cause for one in self._parts.values() if one.merged_into == incident.id)
        return frozenset({incident.cause, *parts})

    def _whole(self, part: Incident) -> Incident | None:
        """Give the live incident that one was merged with."""
        whole = None if part.merged_into is None else self._by_id.get(part.merged_into)
        return whole if whole is not None and whole.live else None


async def _kept(session: Session, due: _Written, now: datetime, tell: Tell) -> bool:
    """Write a change and tell of it, or leave no trace of either."""
    incident = due.step.incident
    try:
        async with session.begin_nested():
            written = await rows.write(session, due.step, due.was, now)
            if written is not None:
                await tell_all(session, tell, written, due.step.changes)
    except Exception as error:
        if is_away(error):
            raise
        extra = {"action": "incidents.finding_failed", "cause": incident.cause, "incident_id": str(incident.id)}
        log.exception("cannot keep an incident", extra=extra)
        return False
    if written is not None:
        _log(written, due.step.changes)
    return written is not None and bool(due.step.changes)


async def tell_all(session: Session, tell: Tell, incident: Incident, changes: Sequence[Change]) -> None:
    """Tell of those changes that others are told of."""
    for number, change in enumerate(changes):
        if change.kind in TOLD:
            await tell(session, replace(incident, revision=incident.revision - len(changes) + number + 1), change)


def _log(incident: Incident, changes: Sequence[Change]) -> None:
    for change in changes:
        extra = {
            "action": f"incident.{change.kind}",
            "incident_id": str(incident.id),
            "cause": incident.cause,
            "scope": incident.scope,
            "severity": incident.severity,
        }
        log.log(logging.WARNING if change.kind in TOLD else logging.INFO, "an incident changed", extra=extra)
