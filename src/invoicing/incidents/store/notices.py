"""Who was told what of which incident: each change of these rows goes with the message that it is about."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Incident
from invoicing.incidents.model.notices import HOLD_OFF, IN_TIME, MOST_JOBS, MOVED, TOLD_AFTER, Outcome, Touch
from invoicing.kit.db import Session
from invoicing.outbox.model import WebhookEvent

MOST_COUNTED = 10_000
"""Jobs of one customer that are counted when an incident is over."""

_MOST_LOOKED_AT = 50_000
"""Jobs of a customer that are looked at for that, from the first that waited on: there may be many in other lanes."""

_EVENTS = [WebhookEvent.INCIDENT_OPENED, WebhookEvent.INCIDENT_UPDATED, WebhookEvent.INCIDENT_RESOLVED]

_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtext('invoicing.notices')) AS alone, now() AS now")

_DUE = text("""
SELECT id FROM incidents
WHERE state <> 'resolved' AND opened_at <= now() - CAST(:told_after AS interval) AND cause <> ALL(:untold)
UNION SELECT incident_id FROM incident_notices WHERE ended_at IS NULL
""")

_BEGAN = text("""
SELECT at FROM incident_changes WHERE incident_id = :id AND change IN ('opened', 'reopened') ORDER BY seq DESC LIMIT 1
""")

_EASED = text("""
SELECT at FROM incident_changes WHERE incident_id = :id AND change = 'eased' ORDER BY seq DESC LIMIT 1
""")

_KNOWN = text("SELECT * FROM incident_notices WHERE incident_id = :id")

_FIRST_JOB = """
(SELECT j.id FROM jobs j
WHERE j.customer_id = t.customer_id AND j.finished_at IS NULL AND j.state IN ('queued', 'retrying') AND NOT j.held
ORDER BY j.id LIMIT 1)
"""

# Only of those whom a message can reach: who gives an address later is told then.
_TELL = text(f"""
INSERT INTO incident_notices AS n
    (incident_id, customer_id, cause, since, lanes, first_job, job_ids, estimate, next_update_by)
SELECT :id, t.customer_id, t.cause, :since, t.lanes, CASE WHEN t.lanes <> '{{}}' THEN {_FIRST_JOB} END, t.job_ids,
    :estimate, :next_update_by
FROM jsonb_to_recordset(CAST(:touched AS jsonb)) AS t(customer_id uuid, cause text, lanes text[], job_ids uuid[])
WHERE EXISTS (
    SELECT FROM endpoints e WHERE e.customer_id = t.customer_id AND e.removed_at IS NULL
        AND e.channel IN ('webhook', 'mail') AND (e.events IS NULL OR e.events && CAST(:events AS text[]))
)
ORDER BY t.customer_id LIMIT :most
ON CONFLICT (incident_id, customer_id) DO UPDATE SET cause = excluded.cause, since = excluded.since,
    lanes = excluded.lanes, first_job = excluded.first_job, job_ids = excluded.job_ids, seq = n.seq + 1,
    told_at = now(), estimate = excluded.estimate, next_update_by = excluded.next_update_by, ended_at = NULL
WHERE n.ended_at IS NOT NULL
RETURNING *
""")

_WIDEN = text(f"""
UPDATE incident_notices n SET lanes = t.lanes, job_ids = t.job_ids,
    first_job = coalesce(n.first_job, CASE WHEN t.lanes <> '{{}}' THEN {_FIRST_JOB} END)
FROM jsonb_to_recordset(CAST(:touched AS jsonb)) AS t(customer_id uuid, lanes text[], job_ids uuid[])
WHERE n.incident_id = :id AND n.customer_id = t.customer_id AND n.ended_at IS NULL
""")

_UPDATE = text("""
WITH due AS (
    SELECT customer_id, estimate AS before FROM incident_notices
    WHERE incident_id = :id AND ended_at IS NULL AND (
        next_update_by <= now() + CAST(:in_time AS interval)
        OR (told_at <= now() - CAST(:hold_off AS interval) AND (
            (estimate IS NULL) <> (CAST(:estimate AS timestamptz) IS NULL)
            OR abs(extract(epoch FROM estimate - CAST(:estimate AS timestamptz))) >= :moved_s
        ))
    )
    ORDER BY customer_id LIMIT :most FOR UPDATE
)
UPDATE incident_notices n SET seq = seq + 1, told_at = now(), estimate = :estimate, next_update_by = :next_update_by
FROM due WHERE n.incident_id = :id AND n.customer_id = due.customer_id RETURNING n.*
""")

_ENDING = text("""
SELECT customer_id FROM incident_notices WHERE incident_id = :id AND ended_at IS NULL ORDER BY customer_id LIMIT :most
""")

_END = text("""
UPDATE incident_notices SET ended_at = now(), told_at = now(), seq = seq + 1
WHERE incident_id = :id AND ended_at IS NULL AND customer_id = ANY(CAST(:customers AS uuid[])) RETURNING *
""")

# Those that waited in the lanes when its customer was told or came later, up to the end of the cause, and did not
# begin before; whatever became of them meanwhile.
_OUTCOMES = text("""
SELECT n.customer_id, count(j.id) AS touched, count(*) FILTER (WHERE j.state = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE j.state = 'dead') AS failed, count(*) FILTER (WHERE j.state = 'cancelled') AS cancelled,
    count(*) FILTER (WHERE j.state = 'running') AS running,
    count(*) FILTER (WHERE j.state IN ('queued', 'retrying', 'in_review')) AS waiting
FROM incident_notices n LEFT JOIN LATERAL (
    SELECT id, state FROM jobs WHERE id = ANY(n.job_ids) AND customer_id = n.customer_id
    UNION
    (SELECT id, state FROM (
        SELECT * FROM jobs WHERE customer_id = n.customer_id AND id >= n.first_job ORDER BY id LIMIT :most_looked_at
    ) AS jobs
    WHERE submitted_at < :until AND state <> 'in_review' AND NOT held
        AND priority || '-' || size = ANY(n.lanes) AND (finished_at IS NULL OR finished_at >= n.since)
        AND (started_at IS NULL OR started_at >= n.since OR state IN ('queued', 'retrying') OR EXISTS (
            SELECT FROM attempts a WHERE a.job_id = jobs.id AND a.number = jobs.attempt AND a.started_at >= n.since
        ))
    ORDER BY id LIMIT :most)
) AS j ON true
WHERE n.incident_id = :id AND n.customer_id = ANY(CAST(:customers AS uuid[])) GROUP BY n.customer_id
""")

_MOVE = text("""
WITH part AS (
    UPDATE incident_notices SET ended_at = now()
    WHERE incident_id = :part AND ended_at IS NULL AND customer_id IN (
        SELECT customer_id FROM incident_notices WHERE incident_id = :part AND ended_at IS NULL
        ORDER BY customer_id LIMIT :most
    ) RETURNING *
)
INSERT INTO incident_notices AS n (incident_id, customer_id, cause, since, lanes, first_job, job_ids, seq, told_at,
    estimate, next_update_by, earlier_ids)
SELECT :whole, customer_id, cause, since, lanes, first_job, job_ids, seq, told_at, estimate, next_update_by,
    earlier_ids || incident_id
FROM part
ON CONFLICT (incident_id, customer_id) DO UPDATE SET since = least(n.since, excluded.since),
    first_job = least(n.first_job, excluded.first_job), earlier_ids = n.earlier_ids || excluded.earlier_ids,
    lanes = ARRAY(SELECT unnest(n.lanes) UNION SELECT unnest(excluded.lanes)),
    job_ids = ARRAY(SELECT unnest(n.job_ids) UNION SELECT unnest(excluded.job_ids) ORDER BY 1 LIMIT :most_jobs),
    seq = greatest(n.seq, excluded.seq), ended_at = NULL
RETURNING 1
""")


@dataclass(frozen=True)
class Notice:
    """What a customer was told of an incident, and which of its jobs that was about."""

    customer_id: UUID
    cause: Cause
    since: datetime
    lanes: frozenset[str]
    job_ids: frozenset[UUID]
    seq: int
    estimate: datetime | None
    next_update_by: datetime
    earlier_ids: tuple[UUID, ...]
    """Incidents that it was told of before these went on as a part of this one."""
    ended_at: datetime | None


async def alone(session: Session) -> datetime | None:
    """Take the right to tell until the end of the transaction, with the time; None when another has it."""
    row = (await session.execute(_ALONE)).one()
    now: datetime | None = row.now if row.alone else None
    return now


async def due(session: Session, untold: Collection[Cause]) -> list[UUID]:
    """Name the incidents of which somebody may have to be told something."""
    asked = {"told_after": TOLD_AFTER, "untold": list(untold)}
    return list((await session.scalars(_DUE, asked)).all())


async def began(session: Session, incident: Incident) -> datetime:
    """Tell when an incident was opened, or opened again."""
    if not incident.reopenings:
        return incident.opened_at
    at: datetime | None = await session.scalar(_BEGAN, {"id": incident.id})
    return at or incident.opened_at


async def eased(session: Session, incident: Incident) -> datetime:
    """Tell when the cause of an incident that is over was seen no more."""
    at: datetime | None = await session.scalar(_EASED, {"id": incident.id})
    found = at or incident.resolved_at
    if found is None:
        raise ValueError("an incident that is not over has no end")
    return found


async def known(session: Session, incident_id: UUID) -> dict[UUID, Notice]:
    """Read what customers were told of an incident."""
    rows = (await session.execute(_KNOWN, {"id": incident_id})).mappings()
    return {row["customer_id"]: _notice(row) for row in rows}


async def tell(
    session: Session, incident: Incident, touched: Mapping[UUID, Touch], next_update_by: datetime, most: int
) -> list[Notice]:
    """Note that customers are told of an incident, some at a time: those whom a message reaches, none twice.

    Who was told that it was over is told again, when it is open again.
    """
    asked = {
        "id": incident.id,
        "since": incident.since,
        "estimate": incident.estimate,
        "next_update_by": next_update_by,
        "touched": _told(touched),
        "events": _EVENTS,
        "most": most,
    }
    return [_notice(row) for row in (await session.execute(_TELL, asked)).mappings()]


async def widen(session: Session, incident_id: UUID, touched: Mapping[UUID, Touch]) -> None:
    """Note which jobs of customers it touches who were told already."""
    if touched:
        await session.execute(_WIDEN, {"id": incident_id, "touched": _told(touched)})


async def update(session: Session, incident: Incident, next_update_by: datetime, most: int) -> list[Notice]:
    """Note that customers are told more, some at a time: those whose estimate has moved, or who were promised more."""
    asked: dict[str, Any] = {
        "id": incident.id,
        "estimate": incident.estimate,
        "next_update_by": next_update_by,
        "in_time": IN_TIME,
        "hold_off": HOLD_OFF,
        "moved_s": MOVED / timedelta(seconds=1),
        "most": most,
    }
    return [_notice(row) for row in (await session.execute(_UPDATE, asked)).mappings()]


async def ending(session: Session, incident_id: UUID, most: int) -> list[UUID]:
    """Name customers who have to be told that an incident is over, some at a time."""
    return list((await session.scalars(_ENDING, {"id": incident_id, "most": most})).all())


async def end(session: Session, incident_id: UUID, customers: Collection[UUID]) -> list[Notice]:
    """Note that customers are told that it is over."""
    asked = {"id": incident_id, "customers": list(customers)}
    return [_notice(row) for row in (await session.execute(_END, asked)).mappings()]


async def outcomes(
    session: Session, incident_id: UUID, customers: Collection[UUID], until: datetime
) -> dict[UUID, Outcome]:
    """Count what became of the jobs of customers that an incident touched until a time, each up to a bound."""
    asked = {
        "id": incident_id,
        "customers": list(customers),
        "until": until,
        "most": MOST_COUNTED,
        "most_looked_at": _MOST_LOOKED_AT,
    }
    rows = (await session.execute(_OUTCOMES, asked)).mappings()
    return {row["customer_id"]: Outcome(**{k: v for k, v in row.items() if k != "customer_id"}) for row in rows}


async def move(session: Session, part: UUID, whole: UUID, most: int) -> int:
    """Have those who were told of an incident be told of the one that it goes on in; gives how many, some at a time."""
    asked = {"part": part, "whole": whole, "most": most, "most_jobs": MOST_JOBS}
    return len((await session.execute(_MOVE, asked)).all())


def _told(touched: Mapping[UUID, Touch]) -> str:
    return to_json(
        [
            {
                "customer_id": customer_id,
                "cause": touch.cause,
                "lanes": sorted(touch.lanes),
                "job_ids": sorted(touch.job_ids),
            }
            for customer_id, touch in touched.items()
        ]
    ).decode()


def _notice(row: RowMapping) -> Notice:
    return Notice(
        row["customer_id"],
        Cause(row["cause"]),
        row["since"],
        frozenset(row["lanes"]),
        frozenset(row["job_ids"]),
        row["seq"],
        row["estimate"],
        row["next_update_by"],
        tuple(row["earlier_ids"]),
        row["ended_at"],
    )
