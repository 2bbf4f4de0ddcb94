"""Statements about how far ops have been told of incidents, and who was called about each."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, text

from invoicing.incidents.model.calling import Call, Progress
from invoicing.incidents.model.incident import Incident
from invoicing.incidents.tables import incident_calls
from invoicing.kit.db import Session

_PROGRESS = text("""
SELECT e.incident_id, e.silenced_by, e.since FROM incident_escalations e
JOIN incidents i ON i.id = e.incident_id AND i.reopenings = e.reopenings
WHERE e.incident_id = ANY(CAST(:ids AS uuid[]))
""")

_CALLS = text("""
SELECT c.incident_id, c.person, c.name, c.level, c.at FROM incident_calls c
JOIN incidents i ON i.id = c.incident_id AND i.reopenings = c.reopenings
WHERE c.incident_id = ANY(CAST(:ids AS uuid[])) ORDER BY c.incident_id, c.at, c.level, c.person
""")

_SILENCE = text("""
INSERT INTO incident_escalations AS e (incident_id, reopenings, silenced_by) VALUES (:id, :reopenings, :window)
ON CONFLICT (incident_id) DO UPDATE SET silenced_by = excluded.silenced_by, reopenings = excluded.reopenings,
    since = CASE WHEN e.reopenings = excluded.reopenings THEN e.since END
""")

_BEGIN = text("""
INSERT INTO incident_escalations AS e (incident_id, reopenings, since) VALUES (:id, :reopenings, :since)
ON CONFLICT (incident_id) DO UPDATE SET since = excluded.since, reopenings = excluded.reopenings, silenced_by = NULL
""")


async def progress(session: Session, ids: Collection[UUID]) -> Mapping[UUID, Progress]:
    """Say how far ops have been told of some incidents since each was opened, or reopened last."""
    asked = {"ids": list(ids)}
    calls: dict[UUID, list[Call]] = {}
    for row in await session.execute(_CALLS, asked):
        calls.setdefault(row.incident_id, []).append(Call(row.person, row.name, row.level, row.at))
    return {
        row.incident_id: Progress(row.silenced_by, row.since, tuple(calls.get(row.incident_id, ())))
        for row in await session.execute(_PROGRESS, asked)
    }


async def began(session: Session, ids: Collection[UUID]) -> Collection[UUID]:
    """Name those of some incidents whose steps are counted."""
    return {one for one, progress_ in (await progress(session, ids)).items() if progress_.since is not None}


async def silence(session: Session, incident: Incident, window_id: UUID | None) -> None:
    """Note which window keeps ops from being told; None: none does any more."""
    await session.execute(_SILENCE, {"id": incident.id, "reopenings": incident.reopenings, "window": window_id})


async def begin(session: Session, incident: Incident, since: datetime) -> None:
    """Have steps counted from a moment on."""
    await session.execute(_BEGIN, {"id": incident.id, "reopenings": incident.reopenings, "since": since})


async def add(session: Session, incident: Incident, calls: Iterable[Call]) -> None:
    """Write down who was called."""
    values = [
        {
            "incident_id": incident.id,
            "reopenings": incident.reopenings,
            "person": call.person,
            "name": call.name,
            "level": call.level,
            "at": call.at,
        }
        for call in calls
    ]
    await session.execute(insert(incident_calls), values)
