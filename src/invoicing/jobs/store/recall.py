"""What a customer has on the runway goes back to the backlog, where it is decided anew what comes next."""

from uuid import UUID

from sqlalchemy import text

from invoicing.jobs.store.channels import told_backlog
from invoicing.kit.db import Session

# Rows that others have locked are passed over: they are being claimed or changed this moment.
_RECALL = text(f"""
WITH free AS (
    SELECT id FROM jobs
    WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL AND expedited_at IS NULL
      AND customer_id = :customer_id AND kind = :kind
    FOR NO KEY UPDATE SKIP LOCKED
), changed AS (
    UPDATE jobs SET released_at = NULL FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, customer_id, key_id, priority, size, needs
), dispatcher AS ({told_backlog("changed", "true")})
SELECT id FROM changed LEFT JOIN dispatcher ON true
""")


async def recall(session: Session, customer_id: UUID, kind: str) -> list[UUID]:
    """Take a customer's jobs of a kind back from the runway, but for those that were expedited."""
    return list((await session.execute(_RECALL, {"customer_id": customer_id, "kind": kind})).scalars())
