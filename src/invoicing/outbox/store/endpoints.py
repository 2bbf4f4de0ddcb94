"""Statements about webhooks; each is limited to one customer's."""

from collections.abc import Collection
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Text, cast, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from invoicing.kit.db import Session
from invoicing.outbox.model import Channel, Endpoint, NewEndpoint
from invoicing.outbox.tables import endpoints

_c = endpoints.c
_HOOK = _c.channel == Channel.WEBHOOK

_SHOWN = (
    _c.id,
    _c.customer_id,
    _c.url,
    _c.description,
    _c.events,
    _c.created_at,
    _c.failures,
    _c.open_until,
    _c.disabled_at,
    _c.disabled_why,
    _c.old_secret_until,
)
"""Everything but the secrets, which only the relay and who makes them ever hold."""

_ROTATE = text("""
UPDATE endpoints SET secret = :secret, old_secret = secret, old_secret_until = now() + CAST(:kept AS interval)
WHERE id = :id AND customer_id = :customer_id AND channel = 'webhook' AND removed_at IS NULL RETURNING id
""")


async def insert_endpoint(session: Session, new: NewEndpoint) -> Endpoint | None:
    """Insert an endpoint; None when its address or its idempotency key is in use."""
    made = await session.execute(insert(endpoints).values(**asdict(new)).on_conflict_do_nothing().returning(*_SHOWN))
    row = made.mappings().one_or_none()
    return None if row is None else Endpoint(**row)


async def made_under(session: Session, customer_id: UUID, idempotency_key: str) -> tuple[UUID, bytes] | None:
    """Find what an idempotency key made: the endpoint's id (it may be removed) and the fingerprint of the request."""
    row = (
        await session.execute(
            select(_c.id, _c.body_hash).where(_c.customer_id == customer_id, _c.idempotency_key == idempotency_key)
        )
    ).one_or_none()
    return None if row is None else (row.id, row.body_hash)


async def hold_customer(session: Session, customer_id: UUID) -> None:
    """Let nobody else add an endpoint for this customer before the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"endpoints:{customer_id}", 0))))


async def endpoints_of(session: Session, customer_id: UUID) -> list[Endpoint]:
    """List a customer's endpoints, the oldest first."""
    rows = await session.execute(
        select(*_SHOWN).where(_c.customer_id == customer_id, _HOOK, _c.removed_at.is_(None)).order_by(_c.id)
    )
    return [Endpoint(**row) for row in rows.mappings()]


async def endpoint(session: Session, customer_id: UUID, endpoint_id: UUID) -> Endpoint | None:
    """Find one of a customer's endpoints."""
    found = await session.execute(
        select(*_SHOWN).where(_c.id == endpoint_id, _c.customer_id == customer_id, _HOOK, _c.removed_at.is_(None))
    )
    row = found.mappings().one_or_none()
    return None if row is None else Endpoint(**row)


async def names(session: Session, customer_id: UUID, named: Collection[str]) -> set[str]:
    """Tell which of some names (ids or addresses) are of endpoints of this customer."""
    rows = await session.execute(
        select(_c.id, _c.url).where(
            _c.customer_id == customer_id,
            _HOOK,
            _c.removed_at.is_(None),
            or_(_c.url.in_(named), cast(_c.id, Text).in_(named)),
        )
    )
    return {name for row in rows for name in (str(row.id), row.url)} & set(named)


async def remove(session: Session, customer_id: UUID, endpoint_id: UUID) -> bool:
    """Mark an endpoint removed and forget its secrets; False when there is none."""
    removed = await session.execute(
        update(endpoints)
        .where(_c.id == endpoint_id, _c.customer_id == customer_id, _HOOK, _c.removed_at.is_(None))
        .values(removed_at=func.now(), secret="", old_secret=None, old_secret_until=None)
        .returning(_c.id)
    )
    return removed.one_or_none() is not None


async def enable(session: Session, customer_id: UUID, endpoint_id: UUID) -> bool:
    """Let an endpoint have messages again, and close its breaker; False when there is none."""
    enabled = await session.execute(
        update(endpoints)
        .where(_c.id == endpoint_id, _c.customer_id == customer_id, _HOOK, _c.removed_at.is_(None))
        .values(disabled_at=None, disabled_why=None, failures=0, open_until=None)
        .returning(_c.id)
    )
    return enabled.one_or_none() is not None


async def rotate(session: Session, customer_id: UUID, endpoint_id: UUID, secret: str, kept: timedelta) -> bool:
    """Replace an endpoint's secret; the one before goes on signing beside it for a while. False when there is none."""
    values = {"id": endpoint_id, "customer_id": customer_id, "secret": secret, "kept": kept}
    return (await session.execute(_ROTATE, values)).one_or_none() is not None
