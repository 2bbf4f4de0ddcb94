"""What people do with incidents, and what jobs are told of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.diagnosis import service as diagnosis
from invoicing.diagnosis.service import NO_KINDS
from invoicing.diagnosis.words import FALLBACK
from invoicing.incidents import on_call
from invoicing.incidents.keeping import Tell, nobody, tell_all
from invoicing.incidents.model.acts import (
    Acknowledge,
    Assign,
    Estimate,
    Merge,
    Note,
    Resolve,
    Wish,
    acted,
    holds,
)
from invoicing.incidents.model.incident import Entry, Incident
from invoicing.incidents.model.touching import touching
from invoicing.incidents.on_call import Callees
from invoicing.incidents.store import members, rows
from invoicing.incidents.store.members import Member, Place
from invoicing.incidents.store.rows import Wanted
from invoicing.incidents.words import title
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import FINISHED, IncidentNotice, Job, Standing
from invoicing.kit.db import Session
from invoicing.kit.kept import Kept
from invoicing.kit.problems import Problem

MOST_ENTRIES = 500
"""Rows of a timeline that are told; a cause that comes and goes for days may leave more."""

_ACTS: Mapping[type[Wish], str] = {
    Acknowledge: "incident.acknowledged",
    Assign: "incident.assigned",
    Note: "incident.noted",
    Estimate: "incident.estimated",
    Merge: "incident.merged",
    Resolve: "incident.resolved",
}
"""What the audit calls each."""


@dataclass(frozen=True)
class Done:
    """What an act changed; `replayed`: an earlier request with the same idempotency key had done it."""

    incident: Incident
    changed: bool
    replayed: bool = False


@dataclass(frozen=True)
class Seen:
    """An incident with a page of the jobs that it touches, and what happened to it."""

    incident: Incident
    members: Sequence[Member]
    timeline: Sequence[Entry]
    callees: Callees


_KEPT_S = 0.1
"""How old the incidents may be by which jobs are told what touches them (seconds): read once for all who ask."""

_LIVE = Kept(rows.live, _KEPT_S)


async def explain(
    session: Session,
    jobs: Sequence[Job],
    kinds: Kinds = NO_KINDS,
    *,
    language: str = FALLBACK,
    fresh: bool = False,
) -> Mapping[UUID, Standing]:
    """Explain jobs, and name the incident that touches each: one statement more where one of them is unfinished."""
    standings = await diagnosis.explain(session, jobs, kinds, language=language, fresh=fresh)
    unfinished = [job for job in jobs if job.state not in FINISHED and job.id in standings]
    live = await (_LIVE.read(session) if fresh else _LIVE.get(session)) if unfinished else []
    if not live:
        return standings
    wholes = {one.id: one for one in live}
    named = dict(standings)
    for job in unfinished:
        cause = standings[job.id].cause
        found = touching(live, job, "" if cause is None else cause.code)
        if found is not None:
            whole = wholes.get(found.merged_into or found.id, found)
            named[job.id] = replace(standings[job.id], incident=_notice(found, whole, language))
    return named


def _notice(found: Incident, whole: Incident, language: str) -> IncidentNotice:
    """Say of a job what touches it; what was merged has the state of the whole, and its own name."""
    return IncidentNotice(
        whole.id,
        whole.severity,
        title(found, language),
        found.since,
        whole.estimate,
        acknowledged=whole.acknowledged_at is not None,
    )


async def page(session: Session, wanted: Wanted, before: UUID | None, limit: int) -> list[Incident]:
    """Read incidents, the newest first."""
    return await rows.page(session, wanted, before, limit)


async def see(session: Session, incident_id: UUID, after: Place | None, limit: int) -> Seen:
    """Read one incident; raises `Problem` where there is none."""
    incident = await rows.one(session, incident_id)
    if incident is None:
        raise no_such_incident()
    touched = await members.page(session, incident, after, limit)
    after_seq = max(0, incident.revision - MOST_ENTRIES)
    entries = await rows.timeline(session, incident_id, after_seq, MOST_ENTRIES)
    return Seen(incident, touched, entries, await on_call.callees(session, incident))


async def act(
    session: Session,
    principal: Principal,
    incident_id: UUID,
    wish: Wish,
    text: str | None = None,
    idempotency_key: str | None = None,
    tell: Tell = nobody,
) -> Done:
    """Do to an incident what our staff wish, tell of it and put it on the audit, all in this transaction.

    Raises `Problem` where there is none, or where it can no longer be done.
    """
    others = {wish.into} if isinstance(wish, Merge) else set[UUID]()
    found = await rows.locked(session, {incident_id, *others})
    incident = found.get(incident_id)
    if incident is None:
        raise no_such_incident()
    if await _done_before(session, principal, incident, wish, idempotency_key):
        return Done(incident, changed=False, replayed=True)
    now = await rows.clock(session)
    _refuse_where_it_makes_no_sense(incident, wish, found, now)
    by = f"{principal.role}:{principal.label}"
    after = await _acted(session, incident, wish, by, text, now, tell)
    if after is None:
        return Done(incident, changed=False)
    data = {"wish": _plain(wish)} | ({"idempotency_key": idempotency_key} if idempotency_key else {})
    await customers.audit(session, principal, _ACTS[type(wish)], f"incident:{incident_id}", text, data)
    return Done(after, changed=True)


async def acknowledge(session: Session, incident_id: UUID, by: str, tell: Tell = nobody) -> bool:
    """Acknowledge an incident on the word of a channel that knows who did it; False when it is over, or there is none.

    One that is acknowledged already stays as it is.
    """
    incident = (await rows.locked(session, {incident_id})).get(incident_id)
    if incident is None or not incident.live:
        return False
    now = await rows.clock(session)
    await _acted(session, incident, Acknowledge(), by, None, now, tell)
    return True


def no_such_incident() -> Problem:
    """Say that there is no such incident."""
    return Problem("not_found", "There is no such incident.", remedy="GET /v1/incidents lists them.")


async def _acted(
    session: Session, incident: Incident, wish: Wish, by: str, text: str | None, now: datetime, tell: Tell
) -> Incident | None:
    """Write what a person did; None: it was so already."""
    step = acted(incident, wish, by, text, now)
    if step is None:
        return None
    written = await rows.write(session, step, incident.revision, now)
    if written is None:
        raise ValueError("a row that is locked has changed")
    await tell_all(session, tell, written, step.changes)
    return written


async def _done_before(session: Session, principal: Principal, incident: Incident, wish: Wish, key: str | None) -> bool:
    """Tell whether a request with the same key did the same; raises `Problem` where it did something else."""
    if key is None:
        return False
    earlier = await customers.audited_under(session, principal.key_id, f"incident:{incident.id}", key)
    if earlier is not None and (earlier["act"] != _ACTS[type(wish)] or earlier["data"].get("wish") != _plain(wish)):
        raise Problem(
            "idempotency_key_reused",
            f"This key was used for another act on this incident: {earlier['act']}.",
            field="/headers/Idempotency-Key",
            remedy="Send a fresh key with each new request.",
        )
    return earlier is not None


def _plain(wish: Wish) -> Any:  # noqa: ANN401 - as the audit keeps it
    return to_jsonable_python(wish)


def _refuse_where_it_makes_no_sense(
    incident: Incident, wish: Wish, found: Mapping[UUID, Incident], now: datetime
) -> None:
    if not incident.live and not isinstance(wish, Note):
        raise Problem("conflict", "The incident is over.", remedy="If its cause comes back, it opens again by itself.")
    match wish:
        case Estimate(at) if at is not None and at <= now:
            raise Problem("bad_input", "/at: That time is over.", field="/at", remedy="Give a time that lies ahead.")
        case Merge(into) if into == incident.id or into not in found:
            detail = "/into: That is no other incident."
            raise Problem("bad_input", detail, field="/into", remedy="GET /v1/incidents?state=open lists them.")
        case Merge(into) if not found[into].live:
            raise Problem("conflict", "The other incident is over.", remedy="Merge with one that is not.")
        case Resolve() if holds(incident):
            remedy = "Acknowledge it and set an estimate; it is over by itself when its cause is gone."
            raise Problem("conflict", "Its cause is still seen to hold.", remedy=remedy)
        case _:
            return


__all__ = [
    "MOST_ENTRIES",
    "Done",
    "Member",
    "Seen",
    "Wanted",
    "acknowledge",
    "act",
    "explain",
    "no_such_incident",
    "page",
    "see",
]
