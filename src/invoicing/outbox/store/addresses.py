"""Statements about mail addresses; each is limited to one customer's, but for the count of what an address was sent."""

from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from invoicing.kit.db import Session
from invoicing.outbox.mailing import CONFIRM, Address, NewAddress, Sent
from invoicing.outbox.model import Channel
from invoicing.outbox.tables import endpoints

_c = endpoints.c
_MAIL = _c.channel == Channel.MAIL

_SHOWN = (
    _c.id,
    _c.customer_id,
    _c.url,
    _c.language,
    _c.wanted,
    _c.created_at,
    _c.confirmed_at,
    _c.code_until,
    _c.failures,
    _c.open_until,
    _c.disabled_at,
)

# Removed ones count too: whoever adds and removes an address again and again sends as many mails.
_SENT = text("""
SELECT (
    SELECT coalesce(sum(codes), 0) FROM endpoints
    WHERE customer_id = :customer_id AND channel = 'mail' AND code_sent_at > now() - interval '1 day'
) AS by_customer, coalesce(sum(codes), 0) AS to_address,
    extract(epoch FROM now() - max(code_sent_at))::float8 AS seconds_ago
FROM endpoints WHERE url = :url AND channel = 'mail' AND code_sent_at > now() - interval '1 day'
""")

_GUESS = text("""
UPDATE endpoints SET guesses = guesses + 1
WHERE id = :id AND customer_id = :customer_id AND channel = 'mail' AND removed_at IS NULL
    AND code_until > now() AND guesses < :most
RETURNING code_hash
""")

# What it wanted to be told of from the beginning counts from now on.
_CONFIRM = text("""
UPDATE endpoints SET confirmed_at = now(), events = wanted, code_hash = NULL, code_until = NULL
WHERE id = :id AND customer_id = :customer_id AND channel = 'mail' AND removed_at IS NULL
""")

_FORGET_CODES = text(f"""
UPDATE messages SET body = '{{}}', state = CASE WHEN state = 'waiting' THEN 'dead' ELSE state END,
    finished_at = coalesce(finished_at, now()), lease_until = NULL
WHERE endpoint_id = :id AND customer_id = :customer_id AND event = '{CONFIRM}' AND body <> '{{}}'
""")


async def insert_address(session: Session, new: NewAddress) -> Address | None:
    """Insert an address that wants nothing yet; None when it, or its idempotency key, is in use."""
    values = {**asdict(new), "channel": Channel.MAIL, "secret": "", "events": []}
    made = await session.execute(insert(endpoints).values(**values).on_conflict_do_nothing().returning(*_SHOWN))
    row = made.mappings().one_or_none()
    return None if row is None else Address(**row)


async def addresses_of(session: Session, customer_id: UUID) -> list[Address]:
    """List a customer's addresses, the oldest first."""
    rows = await session.execute(
        select(*_SHOWN).where(_c.customer_id == customer_id, _MAIL, _c.removed_at.is_(None)).order_by(_c.id)
    )
    return [Address(**row) for row in rows.mappings()]


async def address(session: Session, customer_id: UUID, address_id: UUID) -> Address | None:
    """Find one of a customer's addresses."""
    found = await session.execute(
        select(*_SHOWN).where(_c.id == address_id, _c.customer_id == customer_id, _MAIL, _c.removed_at.is_(None))
    )
    row = found.mappings().one_or_none()
    return None if row is None else Address(**row)


async def name_of_customer(session: Session, customer_id: UUID) -> str:
    """Give the name that a stranger is told."""
    name: str = (
        await session.execute(text("SELECT name FROM customers WHERE id = :id"), {"id": customer_id})
    ).scalar_one()
    return name


async def hold_address(session: Session, url: str) -> None:
    """Let nobody else have a code sent to an address before the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"mail:{url}", 0))))


async def sent(session: Session, customer_id: UUID, url: str) -> Sent:
    """Count the codes of the last day."""
    row = (await session.execute(_SENT, {"customer_id": customer_id, "url": url})).one()
    return Sent(int(row.by_customer), int(row.to_address), row.seconds_ago)


async def set_code(session: Session, address_id: UUID, hashed: bytes, kept: timedelta) -> None:
    """Let a new code, of which only the hash is kept, be the one that confirms an address."""
    await session.execute(
        update(endpoints)
        .where(_c.id == address_id, _MAIL)
        .values(
            code_hash=hashed,
            code_until=func.now() + kept,
            guesses=0,
            codes=text("CASE WHEN code_sent_at > now() - interval '1 day' THEN codes + 1 ELSE 1 END"),
            code_sent_at=func.now(),
        )
    )


async def guess(session: Session, customer_id: UUID, address_id: UUID, most: int) -> bytes | None:
    """Count a guess; gives the hash of the code, None when none is in force or too many were wrong."""
    values = {"id": address_id, "customer_id": customer_id, "most": most}
    hashed: bytes | None = await session.scalar(_GUESS, values)
    return hashed


async def confirm(session: Session, customer_id: UUID, address_id: UUID) -> None:
    """Have an address told from now on what it was added for."""
    await session.execute(_CONFIRM, {"id": address_id, "customer_id": customer_id})
    await forget_codes(session, customer_id, address_id)


async def forget_codes(session: Session, customer_id: UUID, address_id: UUID) -> None:
    """Take the codes out of the messages that bring them; those that wait are not sent any more."""
    await session.execute(_FORGET_CODES, {"id": address_id, "customer_id": customer_id})


async def remove(session: Session, customer_id: UUID, address_id: UUID) -> bool:
    """Mark an address removed: it is told nothing more. False when there is none."""
    removed = await session.execute(
        update(endpoints)
        .where(_c.id == address_id, _c.customer_id == customer_id, _MAIL, _c.removed_at.is_(None))
        .values(removed_at=func.now(), code_hash=None, code_until=None)
        .returning(_c.id)
    )
    return removed.one_or_none() is not None
