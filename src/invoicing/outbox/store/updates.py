"""Messages about updates of jobs, for endpoints that asked for such messages by name."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session

# What is told is on the timeline; whoever wants everything is not sent these, or a long wait would flood it.
_TELL = text("""
WITH told AS (
    INSERT INTO messages (id, channel, endpoint_id, customer_id, event, job_id, seq, body)
    SELECT new_message_id(), e.channel, e.id, j.customer_id, 'job.update', t.job_id, t.seq,
        json_build_object(
            'type', 'job.update',
            'timestamp', to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'data', json_build_object(
                'id', j.id, 'kind', j.kind, 'reference', j.reference, 'state', t.state,
                'submitted_at', to_char(j.submitted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                'attempt', t.attempt,
                'promise', json_build_object(
                    'due', to_char(j.promise_due AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                    'status', j.promise_status
                ),
                'expected', t.data -> 'expected', 'reason', t.data -> 'reason',
                'next_update_by', t.data ->> 'next_update_by', 'href', '/v1/jobs/' || j.id
            )
        )::text
    FROM unnest(CAST(:ids AS uuid[]), CAST(:seqs AS int[])) AS w(id, seq)
    JOIN timeline t ON t.job_id = w.id AND t.seq = w.seq
    JOIN jobs j ON j.id = w.id
    JOIN endpoints e ON e.customer_id = j.customer_id
    WHERE e.removed_at IS NULL AND 'job.update' = ANY (e.events)
        AND (j.webhook IS NULL OR j.webhook IN (e.id::text, e.url))
    ON CONFLICT DO NOTHING
    RETURNING job_id
), called AS (
    SELECT pg_notify('invoicing_outbox', '') FROM told LIMIT 1
)
SELECT DISTINCT job_id FROM told LEFT JOIN called ON true
""")


async def tell_updates(session: Session, rows: Mapping[UUID, int]) -> list[UUID]:
    """Write the messages about rows of timelines (job, its seq); gives the jobs of which anybody is told."""
    if not rows:
        return []
    found = await session.execute(_TELL, {"ids": list(rows), "seqs": list(rows.values())})
    return [row.job_id for row in found]
