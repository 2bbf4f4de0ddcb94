"""Messages to many customers at once, about something that is of no job."""

from collections.abc import Collection
from dataclasses import dataclass
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

_PUBLISH_EACH = text("""
WITH written AS (
    INSERT INTO messages (id, channel, endpoint_id, customer_id, event, incident_id, seq, body)
    SELECT new_message_id(), e.channel, e.id, e.customer_id, CAST(:event AS text), :incident_id, said.seq, said.body
    FROM unnest(CAST(:customers AS uuid[]), CAST(:seqs AS int[]), CAST(:bodies AS text[]))
        AS said(customer_id, seq, body)
    JOIN endpoints e ON e.customer_id = said.customer_id
    WHERE e.removed_at IS NULL AND e.channel IN ('webhook', 'mail')
        AND (e.events IS NULL OR CAST(:event AS text) = ANY (e.events))
    RETURNING 1
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('invoicing_outbox', '') END FROM written
""")


@dataclass(frozen=True)
class News:
    """What one customer is told of an incident, and after how many other messages about it."""

    customer_id: UUID
    seq: int
    body: str


async def publish(session: Session, event: str, body: str, customers: Collection[UUID]) -> int:
    """Write a message to every endpoint of some customers that wants to be told of an event; gives how many."""
    row = (await session.execute(_PUBLISH, {"event": event, "body": body, "customers": list(customers)})).one()
    return int(row[0])


async def publish_each(session: Session, event: str, incident_id: UUID, news: Collection[News]) -> int:
    """Write to every endpoint that wants an event what its own customer is told of an incident; gives how many.

    An endpoint gets the messages about one incident in their order.
    """
    asked = {
        "event": event,
        "incident_id": incident_id,
        "customers": [one.customer_id for one in news],
        "seqs": [one.seq for one in news],
        "bodies": [one.body for one in news],
    }
    row = (await session.execute(_PUBLISH_EACH, asked)).one()
    return int(row[0])
