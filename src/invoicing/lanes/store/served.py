"""What customers were given, as the dispatcher that leads last kept it."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import select

from invoicing.kit.db import Session
from invoicing.lanes.tables import accounts


async def served(session: Session, customer_ids: Collection[UUID]) -> dict[UUID, float]:
    """Read the service (seconds of slot) of some customers; whoever is not named begins like a new customer."""
    if not customer_ids:
        return {}
    rows = await session.execute(
        select(accounts.c.customer_id, accounts.c.served_s).where(accounts.c.customer_id.in_(customer_ids))
    )
    return {row.customer_id: row.served_s for row in rows}
