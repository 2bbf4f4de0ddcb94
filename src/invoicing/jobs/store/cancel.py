"""Cancelling: a waiting job ends at once, a running one is asked to stop."""

from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.model import State
from invoicing.jobs.store.channels import CONTROL, TOLD_JOBS, told_backlog
from invoicing.kit.db import Session

_CANCEL = text(f"""
WITH found AS (
    SELECT id, state FROM jobs WHERE id = :id AND customer_id = :customer_id FOR UPDATE
), changed AS (
    UPDATE jobs SET revision = revision + 1, cancel_requested_at = now(),
        state = CASE WHEN jobs.state = 'running' THEN 'running' ELSE 'cancelled' END,
        finished_at = CASE WHEN jobs.state = 'running' THEN NULL ELSE now() END, released_at = NULL, held = false
    FROM found
    WHERE jobs.id = found.id AND cancel_requested_at IS NULL AND NOT irrevocable
      AND jobs.state IN ('in_review', 'queued', 'retrying', 'running')
    RETURNING jobs.id, jobs.revision, jobs.state, jobs.attempt, jobs.customer_id, jobs.key_id, jobs.priority, jobs.size,
        jobs.needs
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt)
    SELECT id, revision, CASE state WHEN 'running' THEN 'cancel_requested' ELSE 'cancelled' END, state, attempt
    FROM changed
), let_go AS (
    DELETE FROM holds USING changed WHERE job_id = changed.id AND changed.state = 'cancelled' RETURNING quota_id
), given_back AS (
    DELETE FROM quota_places USING changed
    WHERE job_id = changed.id AND changed.state = 'cancelled' AND changed.attempt = 0 RETURNING quota_id, begun_at
), counted AS (
    UPDATE quotas SET waiting = waiting - (SELECT count(*) FROM let_go WHERE quota_id = quotas.id),
        used = used - (SELECT count(*) FROM given_back WHERE quota_id = quotas.id AND begun_at = quotas.begun_at)
    WHERE id IN (SELECT quota_id FROM let_go UNION SELECT quota_id FROM given_back)
), followers AS ({TOLD_JOBS}), dispatcher AS ({told_backlog("changed", "state <> 'running'")}),
worker AS (SELECT pg_notify('{CONTROL}', id::text || chr(58) || 'cancel') FROM changed WHERE state = 'running')
SELECT found.state AS before, changed.state AS after FROM found LEFT JOIN changed ON true
LEFT JOIN followers ON true LEFT JOIN dispatcher ON true LEFT JOIN worker ON true
""")


async def cancel(session: Session, customer_id: UUID, job_id: UUID) -> tuple[State, State | None] | None:
    """Cancel a customer's job: gives its state before and after (None: nothing was changed); None if it is unknown."""
    row = (await session.execute(_CANCEL, {"id": job_id, "customer_id": customer_id})).one_or_none()
    if row is None:
        return None
    return State(row.before), None if row.after is None else State(row.after)
