"""What decides who is told of an incident: maintenance, what ops know already, and who is on duty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from invoicing.alerts import service as alerts
from invoicing.incidents.model.calling import Call, Facts, Progress, steps_of
from invoicing.incidents.model.incident import Incident
from invoicing.incidents.model.silence import silencing
from invoicing.incidents.store import calls, rows
from invoicing.kit.db import Session
from invoicing.maintenance import service as maintenance
from invoicing.rota import service as rota
from invoicing.rota.model import NextCall, next_call, posts_at


@dataclass(frozen=True)
class Callees:
    """Who was called about an incident, and who is next if nobody acknowledges it before."""

    called: Sequence[Call]
    next: NextCall | None = None


async def silent(session: Session, incident: Incident) -> bool:
    """Tell whether ops are not to be told of a change, as they were not told that the incident began."""
    last = await alerts.last_announced(session, incident.id)
    if last is not None and last.stands:
        return False
    if not incident.live:
        return True
    windows, now = await maintenance.windows(session)
    return silencing(incident, windows, now) is not None


async def facts(session: Session) -> Facts:
    """Read who is on duty now."""
    now = await rows.clock(session)
    standing = await rota.standing(session, now)
    if standing.version is None:
        return Facts(now, None, ())
    return Facts(now, standing.rota, posts_at(standing.rota, now))


async def progress_of(session: Session, incident_id: UUID) -> Progress:
    """Say how far ops have been told of an incident."""
    found: Mapping[UUID, Progress] = await calls.progress(session, [incident_id])
    return found.get(incident_id, Progress())


async def callees(session: Session, incident: Incident) -> Callees:
    """Say who was called about an incident, and who is next."""
    progress = await progress_of(session, incident.id)
    if progress.since is None:
        return Callees(progress.calls)
    known = await facts(session)
    steps = steps_of(incident, known.rota)
    if steps is None:
        return Callees(progress.calls)
    before = {call.person for call in progress.calls}
    return Callees(progress.calls, next_call(steps, progress.since, known.now, before))
