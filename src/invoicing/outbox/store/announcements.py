"""Statements about endpoints of ops and the messages to them; none of them meets an endpoint of a customer."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import func

from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.outbox.model import Channel, Delivery
from invoicing.outbox.ops import Announcement, NewOpsEndpoint, OpsEndpoint
from invoicing.outbox.store.deliveries import SHOWN, with_attempts
from invoicing.outbox.tables import endpoints as table
from invoicing.outbox.tables import messages

_e, _m = table.c, messages.c
_OF_OPS = _e.customer_id.is_(None)

# One that was delivered and rests until it is sent again is done; one that is on its way, or never arrived, is sent
# once more at the most. Its row is locked in either case, so that a relay that writes what became of it sees this.
_END_REPEATING = text("""
UPDATE messages SET repeats = NULL,
    state = CASE WHEN tries = 0 AND attempts > 0 AND lease_until IS NULL THEN 'delivered' ELSE state END,
    finished_at = CASE WHEN tries = 0 AND attempts > 0 AND lease_until IS NULL THEN now() END
WHERE incident_id = :incident_id AND endpoint_id = ANY (:endpoints) AND state = 'waiting' AND repeats IS NOT NULL
""")

_INSERT = text("""
WITH written AS (
    INSERT INTO messages (id, channel, endpoint_id, event, incident_id, seq, body, repeats)
    SELECT new.id, e.channel, e.id, :event, :incident_id, :seq, :body, new.repeats
    FROM unnest(CAST(:ids AS uuid[]), CAST(:endpoints AS uuid[]), CAST(:repeats AS interval[]))
        AS new(id, endpoint_id, repeats)
    JOIN endpoints e ON e.id = new.endpoint_id
    WHERE e.customer_id IS NULL AND e.removed_at IS NULL
        AND NOT EXISTS (
            SELECT FROM messages later
            WHERE later.incident_id = :incident_id AND later.endpoint_id = e.id AND later.seq >= :seq
        )
    ON CONFLICT DO NOTHING
    RETURNING id
), rung AS (
    SELECT pg_notify('invoicing_alerts', '')
)
SELECT written.id FROM written, rung
""")

_RESEND = text("""
WITH again AS (
    UPDATE messages SET state = 'waiting', finished_at = NULL, tries = 0,
        due_at = now() - CAST(:window AS interval), gives_up_at = now() + CAST(:window AS interval)
    WHERE id = :id AND endpoint_id = :endpoint_id AND customer_id IS NULL
        AND (lease_until IS NULL OR lease_until < now())
    RETURNING endpoint_id
), probed AS (
    UPDATE endpoints SET open_until = now() FROM again WHERE endpoints.id = again.endpoint_id AND open_until > now()
)
SELECT pg_notify('invoicing_alerts', '') FROM again
""")

_TOLD_MORE = text("""
SELECT EXISTS (
    SELECT FROM messages later WHERE later.incident_id = m.incident_id AND later.endpoint_id = m.endpoint_id
        AND later.seq > m.seq
) FROM messages m WHERE m.id = :id
""")


async def add_endpoint(session: Session, new: NewOpsEndpoint) -> bool:
    """Insert an endpoint; False when its idempotency key is in use."""
    made = await session.execute(insert(table).values(**asdict(new)).on_conflict_do_nothing().returning(_e.id))
    return made.one_or_none() is not None


async def made_under(session: Session, idempotency_key: str) -> tuple[UUID, bytes] | None:
    """Find what an idempotency key made: the endpoint's id (it may be removed) and the fingerprint of the request."""
    query = select(_e.id, _e.body_hash).where(_OF_OPS, _e.idempotency_key == idempotency_key)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.id, row.body_hash)


async def endpoints(session: Session) -> dict[UUID, OpsEndpoint]:
    """Give all endpoints of ops."""
    rows = await session.execute(
        select(_e.id, _e.channel, _e.url, _e.created_at, _e.failures, _e.open_until).where(
            _OF_OPS, _e.removed_at.is_(None)
        )
    )
    return {row["id"]: OpsEndpoint(**{**row, "channel": Channel(row["channel"])}) for row in rows.mappings()}


async def remove_endpoint(session: Session, endpoint_id: UUID) -> None:
    """Mark an endpoint removed, and forget its secret: it is told nothing more, not even what waits."""
    await session.execute(
        update(table).where(_e.id == endpoint_id, _OF_OPS).values(removed_at=func.now(), secret="", old_secret=None)
    )


async def secret_of(session: Session, endpoint_id: UUID) -> str | None:
    """Give the secret of an endpoint of ops, to see whether something was signed with it."""
    query = select(_e.secret).where(_e.id == endpoint_id, _OF_OPS, _e.removed_at.is_(None))
    secret: str | None = await session.scalar(query)
    return secret or None


async def told(session: Session, incident_id: UUID) -> set[UUID]:
    """Give the endpoints of ops that were told anything of an incident."""
    rows = await session.scalars(
        select(_m.endpoint_id).where(_m.incident_id == incident_id, _m.customer_id.is_(None)).distinct()
    )
    return set(rows.all())


async def end_repeating(session: Session, incident_id: UUID, endpoint_ids: Collection[UUID]) -> None:
    """Have what was said of an incident said again no more."""
    await session.execute(_END_REPEATING, {"incident_id": incident_id, "endpoints": list(endpoint_ids)})


async def insert_messages(
    session: Session, said: Announcement, endpoints_: Mapping[UUID, timedelta | None]
) -> list[UUID]:
    """Write a message to each endpoint that was told neither this nor anything later; gives their ids."""
    values = {**asdict(said), "ids": [new_id() for _ in endpoints_]}
    rows = await session.scalars(
        _INSERT, {**values, "endpoints": list(endpoints_), "repeats": list(endpoints_.values())}
    )
    return list(rows.all())


async def deliveries(
    session: Session, endpoint_id: UUID, *, before: UUID | None, limit: int, state: str | None
) -> list[Delivery]:
    """List the messages to an endpoint, the newest first, with their attempts."""
    query = select(*SHOWN).where(_m.endpoint_id == endpoint_id, _m.customer_id.is_(None))
    if before is not None:
        query = query.where(_m.id < before)
    if state is not None:
        query = query.where(_m.state == state)
    rows = (await session.execute(query.order_by(_m.id.desc()).limit(limit))).mappings().all()
    return await with_attempts(session, rows)


async def delivery(session: Session, endpoint_id: UUID, message_id: UUID) -> Delivery | None:
    """Find one message to an endpoint."""
    query = select(*SHOWN).where(_m.id == message_id, _m.endpoint_id == endpoint_id, _m.customer_id.is_(None))
    found = await with_attempts(session, (await session.execute(query)).mappings().all())
    return found[0] if found else None


async def overtaken(session: Session, message_id: UUID) -> bool:
    """Tell whether its endpoint was told something later of the same incident."""
    return bool(await session.scalar(_TOLD_MORE, {"id": message_id}))


async def resend(session: Session, endpoint_id: UUID, message_id: UUID, window: timedelta) -> bool:
    """Have a message sent once more, with a whole window before it; False when it is being sent right now."""
    values = {"id": message_id, "endpoint_id": endpoint_id, "window": window}
    return (await session.execute(_RESEND, values)).one_or_none() is not None
