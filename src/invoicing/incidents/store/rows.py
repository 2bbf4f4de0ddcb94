"""Incidents as rows: those that matter now, one, a page; each change a compare-and-set that leaves rows of its own."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.course import REOPENS_WITHIN
from invoicing.incidents.model.incident import (
    Blast,
    Change,
    ChangeKind,
    Entry,
    Incident,
    IncidentState,
    Reach,
    Severity,
    Step,
)
from invoicing.kit.db import Session

log = logging.getLogger(__name__)

_MOST_LIVE = 500
"""Live incidents that jobs are told of; of more nobody could say anything sensible."""

_LATE_FOR = timedelta(days=1)
"""For so long after its end it may be why promises break: those of the largest jobs are due within hours."""

_COLUMNS = tuple(field.name for field in fields(Incident))

_CURRENT = text("""
SELECT * FROM incidents WHERE state <> 'resolved'
UNION SELECT * FROM incidents WHERE state = 'resolved' AND resolved_at > now() - CAST(:lately AS interval)
UNION SELECT part.* FROM incidents whole JOIN incidents part ON part.merged_into = whole.id
WHERE whole.state <> 'resolved'
""")

_LATELY = text("""
SELECT * FROM incidents WHERE state = 'resolved' AND resolved_at > now() - CAST(:lately AS interval)
ORDER BY resolved_at DESC LIMIT :most
""")

# Those that jobs are told of: live ones, and what was merged with one, under the whole that it is a part of.
_LIVE = text("""
SELECT * FROM incidents WHERE state <> 'resolved'
UNION ALL SELECT part.* FROM incidents whole JOIN incidents part ON part.merged_into = whole.id
WHERE whole.state <> 'resolved' LIMIT :most
""")

_ONE = text("SELECT * FROM incidents WHERE id = :id")

_LOCKED = text("SELECT * FROM incidents WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")

_PAGE = text("""
SELECT * FROM incidents
WHERE (CAST(:before AS uuid) IS NULL OR id < CAST(:before AS uuid))
  AND (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))
  AND (CAST(:causes AS text[]) IS NULL OR cause = ANY(CAST(:causes AS text[])))
  AND (CAST(:severities AS text[]) IS NULL OR severity = ANY(CAST(:severities AS text[])))
ORDER BY id DESC LIMIT :limit
""")

_INSERT = text(f"""
INSERT INTO incidents ({", ".join(_COLUMNS)})
VALUES ({", ".join(f"CAST(:{c} AS jsonb)" if c in {"evidence", "blast", "reach"} else f":{c}" for c in _COLUMNS)})
ON CONFLICT (cause, scope) WHERE state <> 'resolved' DO NOTHING RETURNING id
""")

_UPDATE = text("""
UPDATE incidents SET state = :state, severity = :severity, quiet_since = :quiet_since,
    acknowledged_at = :acknowledged_at, acknowledged_by = :acknowledged_by, assignee = :assignee,
    estimate = :estimate, estimate_by = :estimate_by, resolved_at = :resolved_at, resolved_by = :resolved_by,
    reopenings = :reopenings, merged_into = :merged_into, revision = :revision, seen_at = :seen_at,
    evidence = CAST(:evidence AS jsonb), blast = CAST(:blast AS jsonb), reach = CAST(:reach AS jsonb)
WHERE id = :id AND revision = :was RETURNING id
""")

_TELL = text("""
INSERT INTO incident_changes (incident_id, seq, at, change, by, text, data)
SELECT :id, seq, :at, change, by, text, CAST(data AS jsonb) FROM unnest(
    CAST(:seqs AS int[]), CAST(:changes AS text[]), CAST(:bys AS text[]), CAST(:texts AS text[]), CAST(:datas AS text[])
) AS t(seq, change, by, text, data)
""")

_REPOINT = text("UPDATE incidents SET merged_into = :into WHERE merged_into = :id")

_TIMELINE = text("""
SELECT seq, at, change, by, text, data FROM incident_changes WHERE incident_id = :id AND seq > :after
ORDER BY seq LIMIT :limit
""")

_FORGET = text("""
WITH gone AS (
    SELECT id FROM incidents WHERE state = 'resolved' AND resolved_at < now() - CAST(:kept AS interval)
      AND NOT EXISTS (SELECT FROM incidents part WHERE part.merged_into = incidents.id)
    ORDER BY resolved_at LIMIT 1000
), removed AS (DELETE FROM incidents WHERE id IN (SELECT id FROM gone) RETURNING 1)
SELECT count(*) FROM removed
""")


@dataclass(frozen=True)
class Wanted:
    """Which incidents a list is of; None: whichever."""

    states: Sequence[str] | None = None
    causes: Sequence[str] | None = None
    severities: Sequence[str] | None = None


async def current(session: Session) -> list[Incident]:
    """List the incidents that a finding may belong to: live ones, what was merged with them, and those just over."""
    return _readable((await session.execute(_CURRENT, {"lately": REOPENS_WITHIN})).mappings())


async def lately(session: Session) -> list[Incident]:
    """List the incidents that are over and of which jobs may still be late, the latest first."""
    return _readable((await session.execute(_LATELY, {"lately": _LATE_FOR, "most": _MOST_LIVE})).mappings())


async def live(session: Session) -> list[Incident]:
    """List the incidents that are not over, and the parts that were merged with them."""
    return _readable((await session.execute(_LIVE, {"most": _MOST_LIVE})).mappings())


async def one(session: Session, incident_id: UUID) -> Incident | None:
    """Read an incident."""
    row = (await session.execute(_ONE, {"id": incident_id})).mappings().one_or_none()
    return None if row is None else _incident(row)


async def locked(session: Session, ids: Iterable[UUID]) -> dict[UUID, Incident]:
    """Read incidents and let nobody else change them before this transaction ends."""
    rows = (await session.execute(_LOCKED, {"ids": list(ids)})).mappings()
    return {row["id"]: _incident(row) for row in rows}


async def page(session: Session, wanted: Wanted, before: UUID | None, limit: int) -> list[Incident]:
    """Read incidents, the newest first."""
    asked = {"before": before, "limit": limit, **asdict(wanted)}
    return _readable((await session.execute(_PAGE, asked)).mappings())


async def write(session: Session, step: Step, was: int | None, at: datetime) -> Incident | None:
    """Write an incident and what happened to it; `was`: the revision it is expected to have, None: it is new.

    None when another was first: the live incident of its cause and scope is there already, or it has moved on.
    """
    revision = (was or 0) + len(step.changes)
    values = {**_values(step.incident), "revision": revision}
    done = (
        await session.execute(_INSERT, values)
        if was is None
        else await session.execute(
            _UPDATE,
            {name: values[name] for name in values if name not in _FIXED} | {"id": step.incident.id, "was": was},
        )
    )
    if done.one_or_none() is None:
        return None
    if step.incident.merged_into is not None:
        await session.execute(_REPOINT, {"id": step.incident.id, "into": step.incident.merged_into})
    if step.changes:
        await _tell(session, step.incident.id, was or 0, step.changes, at)
    return replace(step.incident, revision=revision)


async def clock(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    moment: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    return moment


async def timeline(session: Session, incident_id: UUID, after: int, limit: int) -> list[Entry]:
    """Read what happened to an incident, in order, from behind a row."""
    rows = await session.execute(_TIMELINE, {"id": incident_id, "after": after, "limit": limit})
    return [Entry(row.seq, row.at, Change(ChangeKind(row.change), row.by, row.text, row.data)) for row in rows]


async def forget(session: Session, kept: timedelta) -> int:
    """Remove incidents that were resolved long ago; gives how many, up to a bound."""
    forgotten: int = (await session.execute(_FORGET, {"kept": kept})).scalar_one()
    return forgotten


_HELD_UP, _HELD_UP_AT_LEAST = "held_up", "held_up_at_least"
"""Money is stored with the evidence: the build before this knows every field of a blast, and minds none of those."""

_FIXED = frozenset({"cause", "scope", "since", "opened_at"})
"""What an incident never changes."""


async def _tell(session: Session, incident_id: UUID, after: int, changes: Sequence[Change], at: datetime) -> None:
    values = {
        "id": incident_id,
        "at": at,
        "seqs": [after + number for number in range(1, len(changes) + 1)],
        "changes": [change.kind for change in changes],
        "bys": [change.by for change in changes],
        "texts": [change.text for change in changes],
        "datas": [to_json(change.data).decode() for change in changes],
    }
    await session.execute(_TELL, values)


def _values(incident: Incident) -> dict[str, Any]:
    values = {name: getattr(incident, name) for name in _COLUMNS}
    blast = asdict(incident.blast)
    money, at_least = blast.pop("money"), blast.pop("money_at_least")
    held_up = {_HELD_UP: money, _HELD_UP_AT_LEAST: at_least} if money else {}
    return values | {
        "evidence": to_json({**incident.evidence, **held_up}).decode(),
        "blast": to_json(blast).decode(),
        "reach": to_json({name: value for name, value in asdict(incident.reach).items() if value is not None}).decode(),
    }


def _readable(found: Iterable[RowMapping]) -> list[Incident]:
    """Read rows; one that another build wrote and this one cannot read is logged and left out."""
    incidents = []
    for row in found:
        try:
            incidents.append(_incident(row))
        except (KeyError, TypeError, ValueError):
            extra = {"action": "incidents.row_unreadable", "incident_id": str(row["id"])}
            log.exception("cannot read an incident", extra=extra)
    return incidents


def _incident(row: RowMapping) -> Incident:
    evidence = {**row["evidence"]}
    money, at_least = evidence.pop(_HELD_UP, {}), evidence.pop(_HELD_UP_AT_LEAST, False)
    named = {
        "evidence": evidence,
        "cause": Cause(row["cause"]),
        "state": IncidentState(row["state"]),
        "severity": Severity(row["severity"]),
        "blast": replace(
            _blast(row["blast"]),
            money={currency: Decimal(amount) for currency, amount in money.items()},
            money_at_least=at_least,
        ),
        "reach": _reach(row["reach"]),
    }
    return Incident(**{**row, **named})


def _blast(stored: Mapping[str, Any]) -> Blast:
    oldest = stored.get("oldest")
    return Blast(**{**stored, "oldest": None if oldest is None else datetime.fromisoformat(oldest)})


def _reach(stored: Mapping[str, Any]) -> Reach:
    def told(name: str) -> frozenset[str] | None:
        return frozenset(stored[name]) if name in stored else None

    customers, workers = told("customers"), told("workers")
    return Reach(
        told("lanes"),
        told("kinds"),
        told("spares") or frozenset(),
        None if customers is None else frozenset(map(UUID, customers)),
        None if workers is None else frozenset(map(UUID, workers)),
        stored.get("error"),
        stored.get("needs"),
    )
