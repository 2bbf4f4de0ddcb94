"""Messages to many customers at once, about something that is of no job."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session

_PUBLISH = text("""
WITH written AS (
    INSERT INTO messages (id, channel, endpoint_id, customer_id, event, body)
    SELECT new_message_id(), e.channel, e.id, e.customer_id, CAST(:event AS text), CAST(:body AS text)
    FROM unnest(CAST(:customers AS uuid[])) AS c(id) JOIN endpoints e ON e.customer_id = c.id
    WHERE e.removed_at IS NULL AND e.channel IN ('webhook', 'mail')
        AND (e.events IS NULL OR CAST(:event AS text) = ANY (e.events))
    RETURNING 1
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('invoicing_outbox', '') END FROM written
""")


async def publish(session: Session, event: str, body: str, customers: Collection[UUID]) -> int:
    """Write a message to every endpoint of some customers that wants to be told of an event; gives how many."""
    row = (await session.execute(_PUBLISH, {"event": event, "body": body, "customers": list(customers)})).one()
    return int(row[0])
