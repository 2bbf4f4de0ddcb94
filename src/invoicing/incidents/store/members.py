"""The jobs that an incident touches, page by page: found by what they are, as the incident has no list of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import text

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Incident
from invoicing.jobs.model.losses import POISON
from invoicing.kit.db import Session

Place = tuple[UUID, UUID]
"""Where a page ended: customer and job."""

_FIRST: Place = (UUID(int=0), UUID(int=0))

_WAITING = "j.finished_at IS NULL AND j.state IN ('queued', 'retrying') AND NOT j.held"
_RUNNING = "j.state = 'running'"
_UNTOLD = """
j.id IN (
    SELECT m.job_id FROM endpoints e JOIN messages m ON m.endpoint_id = e.id AND m.state = 'waiting'
    WHERE e.customer_id = ANY(CAST(:customers AS uuid[])) AND e.open_until IS NOT NULL AND e.removed_at IS NULL
)
"""

_WHICH: Mapping[Cause, str] = MappingProxyType(
    {
        Cause.NO_WORKER: _WAITING,
        Cause.NO_CAPABLE_WORKER: _WAITING,
        Cause.UNDELIVERED: _WAITING,
        Cause.LOOP_BLOCKED: _RUNNING,
        Cause.WORKER_LOST: _RUNNING,
        Cause.NO_PROGRESS: _RUNNING,
        Cause.POISON: f"j.state = 'dead' AND j.finished_at >= :since AND j.error ->> 'code' = '{POISON}'",
        Cause.DEPENDENCY_DOWN: """CASE WHEN CAST(:needs AS text) IS NULL
            THEN j.state = 'retrying' OR (j.state = 'dead' AND j.finished_at >= :since)
            ELSE j.finished_at IS NULL AND j.needs <> '' AND j.state <> 'in_review' AND NOT j.held
                AND :needs = ANY(string_to_array(j.needs, ' ')) END""",
        Cause.UNDELIVERED_RESULT: _UNTOLD,
        Cause.PROMISES_MISSED: "j.finished_at IS NULL AND j.promise_status <> 'on_track'",
        Cause.UNEXPLAINED: _WAITING,
        Cause.WATCHDOG_BLIND: "false",
        Cause.NOBODY_ON_DUTY: "false",
    }
)
"""What is true of the jobs of an incident, beside its reach; constants of this module alone."""


@dataclass(frozen=True)
class Member:
    """A job that an incident touches."""

    job_id: UUID
    customer_id: UUID
    customer: str
    kind: str
    reference: str | None
    lane: str
    state: str
    submitted_at: datetime
    promise_due: datetime
    promise_status: str


def _statement(cause: Cause) -> str:
    return f"""
SELECT j.id AS job_id, j.customer_id, c.slug AS customer, j.kind, j.reference, j.priority || '-' || j.size AS lane,
    j.state, j.submitted_at, j.promise_due, j.promise_status
FROM jobs j JOIN customers c ON c.id = j.customer_id
WHERE {_WHICH[cause]} AND (j.customer_id, j.id) > (:customer, :job)
  AND (CAST(:lanes AS text[]) IS NULL OR j.state = 'running'
       OR j.priority || '-' || j.size = ANY(CAST(:lanes AS text[])))
  AND (CAST(:kinds AS text[]) IS NULL OR j.kind = ANY(CAST(:kinds AS text[])))
  AND (CAST(:workers AS uuid[]) IS NULL OR j.worker_id = ANY(CAST(:workers AS uuid[])))
  AND (CAST(:customers AS uuid[]) IS NULL OR j.customer_id = ANY(CAST(:customers AS uuid[])))
  AND (CAST(:error AS text) IS NULL OR j.error ->> 'code' = :error)
ORDER BY j.customer_id, j.id LIMIT :limit
"""


_PAGES = {cause: text(_statement(cause)) for cause in Cause}


async def page(session: Session, incident: Incident, after: Place | None, limit: int) -> list[Member]:
    """Read the jobs that an incident touches now, by customer; of one that is over, what would be touched still."""
    reach, (customer, job) = incident.reach, after or _FIRST
    asked: dict[str, Any] = {
        "customer": customer,
        "job": job,
        "limit": limit,
        "since": incident.since,
        "error": reach.error,
        "needs": reach.needs,
        **{
            name: None if values is None else list(values)
            for name, values in (
                ("lanes", reach.lanes),
                ("kinds", reach.kinds),
                ("workers", reach.workers),
                ("customers", reach.customers),
            )
        },
    }
    return [Member(**row) for row in (await session.execute(_PAGES[incident.cause], asked)).mappings()]
