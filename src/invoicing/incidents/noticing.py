"""Telling customers of incidents that touch them: once when one does, when its estimate moves, and how it ended.

One step in each transaction, with the messages that it writes: killed anywhere, the next one goes on. Whose jobs are
touched is told by the tallies and by what runs, so that a notice costs the same for one job and for ten thousand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from invoicing.diagnosis.words import FALLBACK
from invoicing.incidents import reaching
from invoicing.incidents.model.incident import Incident
from invoicing.incidents.model.notices import (
    MOST_JOBS,
    TOLD_AFTER,
    UNTOLD,
    Outcome,
    Touch,
    next_update,
    standing,
)
from invoicing.incidents.store import notices, rows
from invoicing.incidents.store.notices import MOST_COUNTED, Notice
from invoicing.incidents.words import languages, title
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session
from invoicing.outbox import publishing
from invoicing.outbox.model import WebhookEvent
from invoicing.outbox.publishing import News

PAGE = 500
"""Customers told in one step."""

ENDS = 5
"""Customers told in one step that an incident is over: the jobs of each are counted."""


@dataclass(frozen=True)
class Step:
    """How many customers one step told what; `more`: there is something left to do at once."""

    opened: int = 0
    updated: int = 0
    resolved: int = 0
    more: bool = False


async def due(session: Session) -> list[UUID]:
    """Name the incidents of which somebody may have to be told something."""
    return await notices.due(session, UNTOLD)


async def step(session: Session, incident_id: UUID) -> Step:
    """Tell some customers what is due of an incident, if nobody else does."""
    now = await notices.alone(session)
    incident = None if now is None else await rows.one(session, incident_id)
    if now is None or incident is None:
        return Step()
    if incident.merged_into is not None:
        moved = await notices.move(session, incident.id, incident.merged_into, PAGE)
        return Step(more=moved == PAGE)
    if not incident.live:
        return await _end(session, incident, now)
    for part in await _parts(session, incident):  # or who was told of one would be told of the whole as of another
        if await notices.move(session, part.id, incident.id, PAGE) == PAGE:
            return Step(more=True)
    return await _go_on(session, replace(incident, estimate=standing(incident.estimate, now)), now)


async def _go_on(session: Session, incident: Incident, now: datetime) -> Step:
    opened = 0
    touches: Mapping[UUID, Touch] | None = None
    if incident.quiet_since is None and await notices.began(session, incident) <= now - TOLD_AFTER:
        touches = await touching(session, incident)
        opened = await _tell(session, incident, touches, now)
    more_by = next_update(incident.estimate, now, first=False)
    again = await notices.update(session, incident, more_by, PAGE)
    said = [_news(WebhookEvent.INCIDENT_UPDATED, incident, one, _now(touches, one), now) for one in again]
    await _publish(session, WebhookEvent.INCIDENT_UPDATED, incident, said)
    return Step(opened, len(again), more=PAGE in {opened, len(again)})


async def _tell(session: Session, incident: Incident, touches: Mapping[UUID, Touch], now: datetime) -> int:
    known = await notices.known(session, incident.id)
    fresh = {one: touch for one, touch in touches.items() if one not in known or known[one].ended_at is not None}
    wider = {one: _wider(known[one], touch) for one, touch in touches.items() if one in known and one not in fresh}
    await notices.widen(session, incident.id, {one: touch for one, touch in wider.items() if touch is not None})
    if not fresh:
        return 0
    more_by = next_update(incident.estimate, now, first=True)
    told = await notices.tell(session, incident, fresh, more_by, PAGE)
    said = [_news(WebhookEvent.INCIDENT_OPENED, incident, one, _now(fresh, one), now) for one in told]
    await _publish(session, WebhookEvent.INCIDENT_OPENED, incident, said)
    return len(told)


def _wider(notice: Notice, touch: Touch) -> Touch | None:
    """Add what an incident touches by now to what its customer was told of; None: nothing new."""
    lanes, job_ids = notice.lanes | touch.lanes, notice.job_ids | touch.job_ids
    if lanes == notice.lanes and (job_ids == notice.job_ids or len(notice.job_ids) >= MOST_JOBS):
        return None
    return replace(touch, lanes=lanes, job_ids=frozenset(sorted(job_ids)[:MOST_JOBS]))


def _now(touches: Mapping[UUID, Touch] | None, notice: Notice) -> dict[str, Any]:
    """Say how many jobs of a customer are touched now; nothing while the cause is not seen."""
    if touches is None:
        return {"jobs": None}
    touch = touches.get(notice.customer_id)
    return {"jobs": {"touched": touch.jobs if touch else 0, "at_least": touch is not None and touch.at_least}}


async def _end(session: Session, incident: Incident, now: datetime) -> Step:
    customers = await notices.ending(session, incident.id, ENDS)
    if not customers:
        return Step()
    outcomes = await notices.outcomes(session, incident.id, customers, await notices.eased(session, incident))
    ended = await notices.end(session, incident.id, customers)
    event = WebhookEvent.INCIDENT_RESOLVED
    said = [_news(event, incident, one, {"outcome": _outcome(outcomes[one.customer_id])}, now) for one in ended]
    await _publish(session, event, incident, said)
    return Step(resolved=len(ended), more=len(customers) == ENDS)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {**asdict(outcome), "at_least": outcome.touched >= MOST_COUNTED}


async def touching(session: Session, incident: Incident) -> dict[UUID, Touch]:
    """Say whose jobs an incident touches now, and how many of each customer."""
    return await reaching.touching(session, incident, await _parts(session, incident))


async def _parts(session: Session, incident: Incident) -> list[Incident]:
    return [one for one in await rows.live(session) if one.merged_into == incident.id]


async def _publish(session: Session, event: WebhookEvent, incident: Incident, news: Sequence[News]) -> None:
    if news:
        await publishing.publish_each(session, event, incident.id, news)


def _news(event: WebhookEvent, incident: Incident, notice: Notice, more: Mapping[str, Any], now: datetime) -> News:
    """Write what one customer is told: nothing in it is about machines, people, or anybody else."""
    named = replace(incident, cause=notice.cause)
    data = {
        "id": incident.id,
        "earlier_ids": notice.earlier_ids,
        "title": title(named),
        "titles": {language: title(named, language) for language in languages() if language != FALLBACK},
        "since": rfc3339(notice.since),
        **_times(event, incident, notice),
        **more,
    }
    body = to_json({"type": event, "timestamp": rfc3339(now), "data": data}).decode()
    return News(notice.customer_id, notice.seq, body)


def _times(event: WebhookEvent, incident: Incident, notice: Notice) -> dict[str, str | None]:
    if event is WebhookEvent.INCIDENT_RESOLVED:
        return {"ended_at": None if incident.resolved_at is None else rfc3339(incident.resolved_at)}
    return {
        "estimate": None if notice.estimate is None else rfc3339(notice.estimate),
        "next_update_by": rfc3339(notice.next_update_by),
    }


__all__ = ["ENDS", "PAGE", "Step", "due", "step", "touching"]
