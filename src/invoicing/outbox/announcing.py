"""Endpoints of ops and the messages to them: they belong to no customer, so none of a customer's statements meets them.

Messages about one incident reach an endpoint in the order of its revisions.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from invoicing.kit.db import Session
from invoicing.outbox.model import WINDOW
from invoicing.outbox.ops import Announcement, NewOpsEndpoint, OpsEndpoint
from invoicing.outbox.store import announcements
from invoicing.outbox.store.announcements import (
    add_endpoint,
    deliveries,
    delivery,
    endpoints,
    made_under,
    overtaken,
    remove_endpoint,
    secret_of,
    told,
)


async def write(
    session: Session, announcement: Announcement, endpoints_: Mapping[UUID, timedelta | None]
) -> Collection[UUID]:
    """Have endpoints told, each once or, with an interval, again and again; gives the messages.

    It takes the place of what was said before of the incident: that is not repeated any more, but still sent before
    this if it was not delivered yet. An endpoint that was told this or a later revision is told nothing.
    """
    if not endpoints_:
        return ()
    await announcements.end_repeating(session, announcement.incident_id, list(endpoints_))
    return await announcements.insert_messages(session, announcement, endpoints_)


async def resend(session: Session, endpoint_id: UUID, message_id: UUID) -> bool:
    """Have a message sent once more; False when it is being sent right now."""
    return await announcements.resend(session, endpoint_id, message_id, WINDOW)


__all__ = [
    "Announcement",
    "NewOpsEndpoint",
    "OpsEndpoint",
    "add_endpoint",
    "deliveries",
    "delivery",
    "endpoints",
    "made_under",
    "overtaken",
    "remove_endpoint",
    "resend",
    "secret_of",
    "told",
    "write",
]
