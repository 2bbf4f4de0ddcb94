"""Statements about what each customer was given, and that somebody gives."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session

_KEEP = text("""
INSERT INTO accounts (customer_id, served_s)
SELECT * FROM unnest(CAST(:customers AS uuid[]), CAST(:served AS float8[]))
ON CONFLICT (customer_id) DO UPDATE SET served_s = excluded.served_s, updated_at = now()
""")

_FORGET = text("DELETE FROM accounts WHERE customer_id = ANY(:customers)")

_LOOKED = text("UPDATE dispatching SET looked_at = now() - CAST(:ago AS interval)")


async def accounts(session: Session) -> dict[UUID, float]:
    """Read what each customer was given (seconds of slot, divided by weight)."""
    rows = await session.execute(text("SELECT customer_id, served_s FROM accounts"))
    return {row.customer_id: row.served_s for row in rows}


async def keep_accounts(session: Session, changed: Mapping[UUID, float], gone: Collection[UUID]) -> None:
    """Keep the accounts that changed; those `gone` begin anew, like a new customer's."""
    if changed:
        await session.execute(_KEEP, {"customers": list(changed), "served": list(changed.values())})
    if gone:
        await session.execute(_FORGET, {"customers": list(gone)})


async def looked(session: Session, seconds_ago: float) -> None:
    """Write when the backlog was looked at last, by the ledger's clock."""
    await session.execute(_LOOKED, {"ago": timedelta(seconds=seconds_ago)})
