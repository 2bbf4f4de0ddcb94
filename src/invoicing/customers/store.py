"""Statements about customers, keys and the audit."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from invoicing.customers.model import Allotment, Customer, CustomerPause, KeyRecord, Principal, Role
from invoicing.customers.tables import api_keys, audit_entries, customer_pauses, customers
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id


async def insert_customer(session: Session, slug: str, name: str, rate_per_s: float, burst: int) -> Customer | None:
    """Insert a customer; None when the slug is taken."""
    row = (
        (
            await session.execute(
                postgresql_insert(customers)
                .values(id=new_id(), slug=slug, name=name, rate_per_s=rate_per_s, burst=burst)
                .on_conflict_do_nothing(index_elements=[customers.c.slug])
                .returning(customers)
            )
        )
        .mappings()
        .one_or_none()
    )
    return None if row is None else Customer(**row)


async def all_customers(session: Session) -> list[Customer]:
    """List the customers, the oldest first."""
    rows = await session.execute(select(customers).order_by(customers.c.id))
    return [Customer(**row) for row in rows.mappings()]


async def customer_by_slug(session: Session, slug: str) -> Customer | None:
    """Find a customer by its slug."""
    row = (await session.execute(select(customers).where(customers.c.slug == slug))).mappings().one_or_none()
    return None if row is None else Customer(**row)


async def limits_locked(session: Session, slug: str) -> Customer | None:
    """Find a customer by its slug and hold its row, so that nobody changes its limits before this transaction ends."""
    row = (
        (await session.execute(select(customers).where(customers.c.slug == slug).with_for_update(key_share=True)))
        .mappings()
        .one_or_none()
    )
    return None if row is None else Customer(**row)


async def set_limits(session: Session, customer_id: UUID, limits: Mapping[str, float | None]) -> Customer:
    """Change some of a customer's limits, given by the names of their columns."""
    changed = await session.execute(
        update(customers).where(customers.c.id == customer_id).values(**limits).returning(customers)
    )
    return Customer(**changed.mappings().one())


async def allotments(session: Session) -> dict[UUID, Allotment]:
    """Give what customers may have of the lanes, of those alone for whom that is not the usual."""
    c = customers.c
    rows = await session.execute(
        select(c.id, c.weight, c.max_running, c.max_waiting).where(
            or_(c.weight != 1, c.max_running.is_not(None), c.max_waiting.is_not(None))
        )
    )
    return {row.id: Allotment(row.weight, row.max_running, row.max_waiting) for row in rows}


async def active_pauses(session: Session) -> dict[UUID, CustomerPause]:
    """List the pauses that hold now, by customer."""
    c = customer_pauses.c
    rows = await session.execute(
        select(*(c[field.name] for field in fields(CustomerPause))).where(c.ended_at.is_(None), c.until > func.now())
    )
    return {row["customer_id"]: CustomerPause(**row) for row in rows.mappings()}


async def pause(session: Session, customer_id: UUID, until: datetime, reason: str, by: str) -> CustomerPause:
    """Pause a customer; an earlier pause of it is replaced."""
    await resume(session, customer_id)
    values = {"customer_id": customer_id, "until": until, "reason": reason, "by": by}
    made = insert(customer_pauses).values(id=new_id(), **values).returning(customer_pauses.c.since)
    since = (await session.execute(made)).scalar_one()
    return CustomerPause(customer_id, since, until, reason, by)


async def resume(session: Session, customer_id: UUID) -> bool:
    """End a customer's pause; tells whether it was paused."""
    c = customer_pauses.c
    ended = await session.execute(
        update(customer_pauses)
        .where(c.customer_id == customer_id, c.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(c.until > func.now())
    )
    return any(ended.scalars())


async def add_key(
    session: Session,
    hashed: bytes,
    hint: str,
    role: Role,
    label: str,
    customer_id: UUID | None,
    expires_at: datetime | None,
) -> UUID:
    """Insert a key; only its hash is kept."""
    key_id = new_id()
    await session.execute(
        insert(api_keys).values(
            id=key_id, customer_id=customer_id, role=role, label=label, hint=hint, hash=hashed, expires_at=expires_at
        )
    )
    return key_id


async def all_keys(session: Session) -> list[KeyRecord]:
    """List the keys, the oldest first, the revoked ones among them."""
    rows = await session.execute(
        select(api_keys, customers.c.slug)
        .outerjoin(customers, customers.c.id == api_keys.c.customer_id)
        .order_by(api_keys.c.id)
    )
    return [
        KeyRecord(row.id, row.hint, Role(row.role), row.label, row.slug, row.created_at, row.expires_at, row.revoked_at)
        for row in rows
    ]


async def revoke_key(session: Session, key_id: UUID) -> bool:
    """Revoke a key that works; False when there is none of that id, or it was revoked before."""
    revoked = await session.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=func.now())
        .returning(api_keys.c.id)
    )
    return revoked.one_or_none() is not None


async def principal_of(session: Session, hashed: bytes) -> Principal | None:
    """Find who is behind a key; None when it is unknown, revoked or over its time."""
    row = (
        await session.execute(
            select(api_keys, customers.c.slug, customers.c.rate_per_s, customers.c.burst)
            .outerjoin(customers, customers.c.id == api_keys.c.customer_id)
            .where(
                api_keys.c.hash == hashed,
                api_keys.c.revoked_at.is_(None),
                or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
            )
        )
    ).one_or_none()
    if row is None:
        return None
    limits = {} if row.slug is None else {"rate_per_s": row.rate_per_s, "burst": row.burst}
    return Principal(
        key_id=row.id, role=Role(row.role), label=row.label, customer_id=row.customer_id, customer=row.slug, **limits
    )


async def slug_of(session: Session, customer_id: UUID) -> str:
    """Give a customer's slug."""
    slug: str = (await session.execute(select(customers.c.slug).where(customers.c.id == customer_id))).scalar_one()
    return slug


async def audited_under(session: Session, key_id: UUID, target: str, idempotency_key: str) -> Mapping[str, Any] | None:
    """Find what a key did to a target under an idempotency key: `act` and `data`; None: nothing yet."""
    c = audit_entries.c
    row = (
        await session.execute(
            select(c.act, c.data)
            .where(c.target == target, c.key_id == key_id, c.data["idempotency_key"].astext == idempotency_key)
            .limit(1)
        )
    ).one_or_none()
    return None if row is None else row._asdict()


async def add_audit(
    session: Session,
    actor: str,
    key_id: UUID | None,
    act: str,
    target: str,
    reason: str | None,
    data: Mapping[str, Any],
) -> None:
    """Write down who did what to what, and why."""
    await session.execute(
        insert(audit_entries).values(
            id=new_id(), key_id=key_id, actor=actor, act=act, target=target, reason=reason, data=dict(data)
        )
    )
