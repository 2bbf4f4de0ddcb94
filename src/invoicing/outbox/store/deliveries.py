"""Statements about messages to a customer's endpoint: listed, resent, and written to try it out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.sql import func

from invoicing.kit.db import Session
from invoicing.outbox.model import Attempt, Channel, Delivery, MessageState
from invoicing.outbox.tables import delivery_attempts, messages

_m, _a = messages.c, delivery_attempts.c

SHOWN = (
    _m.id,
    _m.event,
    _m.job_id,
    _m.incident_id,
    _m.seq,
    _m.state,
    _m.created_at,
    _m.due_at,
    _m.gives_up_at,
    _m.lease_until,
    _m.attempts,
    _m.finished_at,
)

# Due before all others: whoever asked by hand wants to see now whether it works, so it is what an open breaker probes.
_RESEND = text("""
WITH again AS (
    UPDATE messages SET state = 'waiting', finished_at = NULL, tries = 0,
        due_at = now() - CAST(:window AS interval), gives_up_at = now() + CAST(:window AS interval)
    WHERE id = :id AND endpoint_id = :endpoint_id AND customer_id = :customer_id
        AND (lease_until IS NULL OR lease_until < now())
    RETURNING id
)
SELECT id FROM again
""")

_LET_THROUGH = text("""
WITH probe AS (
    UPDATE endpoints SET open_until = now() WHERE id = :id AND open_until > now()
)
SELECT pg_notify('invoicing_outbox', '')
""")


async def page(
    session: Session, customer_id: UUID, endpoint_id: UUID, *, before: UUID | None, limit: int, state: str | None
) -> list[Delivery]:
    """List the messages to an endpoint, the newest first, with their attempts."""
    query = select(*SHOWN).where(_m.endpoint_id == endpoint_id, _m.customer_id == customer_id)
    if before is not None:
        query = query.where(_m.id < before)
    if state is not None:
        query = query.where(_m.state == state)
    rows = (await session.execute(query.order_by(_m.id.desc()).limit(limit))).mappings().all()
    return await with_attempts(session, rows)


async def delivery(session: Session, customer_id: UUID, endpoint_id: UUID, message_id: UUID) -> Delivery | None:
    """Find one message to an endpoint."""
    query = select(*SHOWN).where(_m.id == message_id, _m.endpoint_id == endpoint_id, _m.customer_id == customer_id)
    rows = (await session.execute(query)).mappings().all()
    found = await with_attempts(session, rows)
    return found[0] if found else None


async def with_attempts(session: Session, rows: Sequence[RowMapping]) -> list[Delivery]:
    """Give messages with their attempts."""
    attempts: dict[UUID, list[Attempt]] = {row["id"]: [] for row in rows}
    if rows:
        made = await session.execute(
            select(delivery_attempts).where(_a.message_id.in_(list(attempts))).order_by(_a.message_id, _a.number)
        )
        for row in made.mappings():
            fields = dict(row)
            attempts[fields.pop("message_id")].append(Attempt(**fields))
    found = [Delivery(**{**row, "state": MessageState(row["state"])}) for row in rows]
    return [replace(one, tries=tuple(attempts[one.id])) for one in found]


async def resend(session: Session, customer_id: UUID, endpoint_id: UUID, message_id: UUID, window: timedelta) -> bool:
    """Have a message sent once more, with a whole window before it; False when it is being sent right now."""
    values = {"id": message_id, "endpoint_id": endpoint_id, "customer_id": customer_id, "window": window}
    return await session.scalar(_RESEND, values) is not None


async def insert_message(
    session: Session,
    message_id: UUID,
    customer_id: UUID,
    endpoint_id: UUID,
    event: str,
    body: str,
    window: timedelta,
    channel: Channel = Channel.WEBHOOK,
) -> None:
    """Write a message that is of no job, to be sent before all others."""
    values: Mapping[str, Any] = {
        "id": message_id,
        "channel": channel,
        "endpoint_id": endpoint_id,
        "customer_id": customer_id,
        "event": event,
        "body": body,
        "due_at": func.now() - window,
    }
    await session.execute(insert(messages).values(**values))


async def waiting_id(session: Session, customer_id: UUID, endpoint_id: UUID, event: str) -> UUID | None:
    """Find a message of some event that waits to be sent to an endpoint."""
    found: UUID | None = await session.scalar(
        select(_m.id)
        .where(
            _m.endpoint_id == endpoint_id,
            _m.customer_id == customer_id,
            _m.event == event,
            _m.state == MessageState.WAITING,
        )
        .limit(1)
    )
    return found


async def first_delivered(session: Session, job_ids: Collection[UUID]) -> dict[tuple[UUID, int], datetime]:
    """Tell when the messages of some jobs were first delivered to anybody, by job and place in its timeline."""
    rows = await session.execute(
        select(_m.job_id, _m.seq, func.min(_m.finished_at).label("at"))
        .where(_m.job_id.in_(job_ids), _m.state == MessageState.DELIVERED)
        .group_by(_m.job_id, _m.seq)
    )
    return {(row.job_id, row.seq): row.at for row in rows}


async def let_through(session: Session, endpoint_id: UUID) -> None:
    """Let an endpoint whose breaker is open have one message at once, and wake the relays."""
    await session.execute(_LET_THROUGH, {"id": endpoint_id})
