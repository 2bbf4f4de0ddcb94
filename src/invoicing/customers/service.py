"""Making keys, recognising them, and keeping the audit."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import store
from invoicing.customers.model import Customer, KeyRecord, Principal, Role, fingerprint, hint, new_key
from invoicing.customers.store import (
    active_pauses,
    allotments,
    audited_under,
    customer_by_slug,
    limits_locked,
    pause,
    resume,
    slug_of,
)
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem

REMEMBERED = timedelta(seconds=30)
"""How long a key is believed without asking again: the longest a revoked key goes on working in a web process."""

_MOST_REMEMBERED = 10_000


USUAL_RATE_PER_S = 100.0
USUAL_BURST = 1_000


async def ensure_customer(session: Session, slug: str, name: str) -> Customer:
    """Return the customer of that slug, adding it when it is not there."""
    found = await store.customer_by_slug(session, slug)
    return found or await add_customer(session, slug, name, USUAL_RATE_PER_S, USUAL_BURST)


async def add_customer(session: Session, slug: str, name: str, rate_per_s: float, burst: int) -> Customer:
    """Add a customer; raises `Problem` when the slug is taken."""
    made = await store.insert_customer(session, slug, name, rate_per_s, burst)
    if made is None:
        raise Problem("conflict", f"There is a customer {slug!r} already.", field="/slug", remedy="Take another slug.")
    return made


async def all_customers(session: Session) -> list[Customer]:
    """List the customers, the oldest first."""
    return await store.all_customers(session)


async def set_limits(
    session: Session, principal: Principal, slug: str, limits: Mapping[str, float | None], reason: str
) -> Customer:
    """Change some of a customer's limits and write both the old and the new ones into the audit.

    Raises `Problem` when there is no such customer. Web processes and the dispatcher notice within seconds; the rate
    within `REMEMBERED`.
    """
    before = await held(session, slug)
    after = await store.set_limits(session, before.id, limits)
    changed = {name: {"from": getattr(before, name), "to": getattr(after, name)} for name in limits}
    await audit(session, principal, "customer.limited", f"customer:{before.id}", reason, changed)
    return after


async def held(session: Session, slug: str) -> Customer:
    """Find a customer, and let nobody else change it until this transaction ends; raises `Problem` without one."""
    found = await store.limits_locked(session, slug)
    if found is None:
        raise no_such_customer(slug)
    return found


def no_such_customer(slug: str) -> Problem:
    """Refuse what is asked about somebody unknown."""
    return Problem(
        "bad_input", f"There is no customer {slug!r}.", field="/customer", remedy="POST /v1/admin/customers first."
    )


async def owner_of_key(session: Session, role: Role, slug: str | None) -> Customer | None:
    """Find the customer that a new key is to act for; raises `Problem` when role and customer do not go together."""
    if (role is Role.CUSTOMER) != (slug is not None):
        raise Problem(
            "bad_input",
            "A key of the role customer acts for one customer; a key of our staff for none.",
            field="/customer",
            remedy="Name the customer's slug with the role customer, and only with it.",
        )
    if slug is None:
        return None
    found = await store.customer_by_slug(session, slug)
    if found is None:
        raise no_such_customer(slug)
    return found


async def create_key(
    session: Session, role: Role, label: str, customer_id: UUID | None = None, expires_at: datetime | None = None
) -> str:
    """Make a key and return it: the only time that it is seen in full."""
    key = new_key(role)
    key_id = await store.add_key(session, fingerprint(key), hint(key), role, label, customer_id, expires_at)
    await store.add_audit(session, label, key_id, "key.created", f"key:{key_id}", None, {"role": role})
    return key


async def all_keys(session: Session) -> list[KeyRecord]:
    """List the keys, the oldest first, the revoked ones among them."""
    return await store.all_keys(session)


async def revoke_key(session: Session, key_id: UUID, actor: str) -> bool:
    """Revoke a key; web processes notice within `REMEMBERED`. Tells whether it worked until now."""
    revoked = await store.revoke_key(session, key_id)
    if revoked:
        await store.add_audit(session, actor, None, "key.revoked", f"key:{key_id}", None, {})
    return revoked


async def audit(
    session: Session,
    principal: Principal,
    act: str,
    target: str,
    reason: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Write an act of a person or a program into the audit, in the transaction that carries it out."""
    await store.add_audit(
        session, f"{principal.role}:{principal.label}", principal.key_id, act, target, reason, data or {}
    )


class Keys:
    """Recognises keys, remembering for half a minute what the database said; unknown keys are not remembered."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Ask through an engine."""
        self._engine = engine
        self._known: dict[bytes, tuple[datetime, Principal]] = {}

    async def recognise(self, key: str, now: datetime) -> Principal | None:
        """Tell who is behind a key; None when it is unknown, revoked or over its time."""
        hashed = fingerprint(key)
        known = self._known.get(hashed)
        if known is not None and now - known[0] < REMEMBERED:
            return known[1]
        async with self._engine.connect() as session:
            principal = await store.principal_of(session, hashed)
        self._known.pop(hashed, None)
        if principal is not None:
            self._remember(hashed, now, principal)
        return principal

    def _remember(self, hashed: bytes, now: datetime, principal: Principal) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[hashed] = (now, principal)


__all__ = [
    "REMEMBERED",
    "USUAL_BURST",
    "USUAL_RATE_PER_S",
    "Keys",
    "active_pauses",
    "add_customer",
    "all_customers",
    "all_keys",
    "allotments",
    "audit",
    "audited_under",
    "create_key",
    "customer_by_slug",
    "ensure_customer",
    "held",
    "limits_locked",
    "no_such_customer",
    "owner_of_key",
    "pause",
    "resume",
    "revoke_key",
    "set_limits",
    "slug_of",
]
