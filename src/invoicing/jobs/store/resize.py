"""Waiting jobs whose predicted work has grown: found by customer, moved to the larger class, set-wise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.model import Priority, Size
from invoicing.jobs.store.channels import BACKLOG, TOLD_JOBS
from invoicing.kit.db import Session

# One that has begun before and is not small is left alone: whoever ran it has seen how large it is.
_NOT_BEGUN = text("""
SELECT id, priority, size, estimated_s FROM (
    SELECT id, kind, state, attempt, priority, size, coalesce(estimated_s, predicted_s) AS estimated_s FROM jobs
    WHERE customer_id = :customer_id AND finished_at IS NULL ORDER BY id LIMIT :most
) AS first WHERE kind = :kind AND state = 'queued' AND (attempt = 0 OR size = 'small')
""")

# Rows that others have locked are passed over: they are being released, claimed or changed this moment. What is on the
# runway goes back to the backlog; its old ticket then claims nothing.
_RESIZE = text(f"""
WITH wanted AS (
    SELECT * FROM unnest(
        CAST(:ids AS uuid[]), CAST(:sizes AS text[]), CAST(:predicted AS float8[]), CAST(:delays AS interval[])
    ) AS w(id, size, predicted_s, delay)
), free AS (
    SELECT jobs.id FROM jobs JOIN wanted ON jobs.id = wanted.id
    WHERE state = 'queued' AND (attempt = 0 OR jobs.size = 'small') FOR NO KEY UPDATE OF jobs SKIP LOCKED
), changed AS (
    UPDATE jobs SET revision = revision + 1, size = wanted.size, predicted_s = wanted.predicted_s, released_at = NULL,
        order_at = CASE WHEN expedited_at IS NULL THEN greatest(order_at, submitted_at + wanted.delay) ELSE order_at END
    FROM wanted JOIN free ON free.id = wanted.id WHERE jobs.id = wanted.id
    RETURNING jobs.id, jobs.revision, jobs.state, jobs.attempt, jobs.size
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'reclassed', state, attempt, jsonb_build_object('size', size) FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS (SELECT pg_notify('{BACKLOG}', '') FROM changed LIMIT 1)
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
""")


@dataclass(frozen=True)
class NotBegun:
    """A job that waits, of which nobody has seen how large it is."""

    id: UUID
    priority: Priority
    size: Size
    estimated_s: float


@dataclass(frozen=True)
class Resized:
    """The class that a job belongs to after all, and how long after its submission it then counts as due."""

    id: UUID
    size: Size
    predicted_s: float
    order_delay: timedelta


async def not_begun(session: Session, customer_id: UUID, kind: str, most: int) -> list[NotBegun]:
    """List a customer's jobs of a kind that have not shown their size, among its `most` oldest unfinished jobs."""
    rows = await session.execute(_NOT_BEGUN, {"customer_id": customer_id, "kind": kind, "most": most})
    return [NotBegun(row.id, Priority(row.priority), Size(row.size), row.estimated_s) for row in rows]


async def resize(session: Session, resized: Sequence[Resized]) -> list[UUID]:
    """Move jobs that have not shown their size to their class; gives those moved, without those that moved on."""
    values = {
        "ids": [one.id for one in resized],
        "sizes": [one.size for one in resized],
        "predicted": [one.predicted_s for one in resized],
        "delays": [one.order_delay for one in resized],
    }
    return [row.id for row in await session.execute(_RESIZE, values)]
