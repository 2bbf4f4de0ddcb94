"""Statements about what is agreed with customers."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from invoicing.jobs.model import Size
from invoicing.jobs.model.calendars import Calendar, OpenTime, Promise, calendar_of, span_of
from invoicing.jobs.tables import agreements
from invoicing.kit.db import Session

_c = agreements.c

Of = tuple[UUID, str, Size]
"""A customer, a kind and a size class."""


async def all_agreements(session: Session) -> dict[Of, Promise]:
    """Read every agreement."""
    rows = await session.execute(select(agreements).order_by(_c.customer_id, _c.kind, _c.size))
    return {(row.customer_id, row.kind, Size(row.size)): _promise(row) for row in rows}


async def agreed(session: Session, customer_id: UUID, kind: str) -> dict[Size, Promise]:
    """Read what is agreed with a customer about a kind, and let nobody else change it before this transaction ends."""
    query = select(agreements).where(_c.customer_id == customer_id, _c.kind == kind).with_for_update()
    return {Size(row.size): _promise(row) for row in await session.execute(query)}


async def agree(session: Session, customer_id: UUID, kind: str, promises: Mapping[Size, Promise]) -> None:
    """Write what is agreed from now on, by size class."""
    for size, promise in promises.items():
        calendar = calendar_of(promise)
        values = {"seconds": span_of(promise).total_seconds(), "calendar": calendar and calendar.as_json()}
        key = {"customer_id": customer_id, "kind": kind, "size": size}
        await session.execute(
            insert(agreements)
            .values(**key, **values)
            .on_conflict_do_update(index_elements=list(key), set_={**values, "agreed_at": func.now()})
        )


async def take_away(session: Session, customer_id: UUID, kind: str, sizes: Collection[Size]) -> None:
    """End agreements: what the kind says is promised again."""
    await session.execute(delete(agreements).where(_c.customer_id == customer_id, _c.kind == kind, _c.size.in_(sizes)))


def _promise(row: Row[tuple[object, ...]]) -> Promise:
    span = timedelta(seconds=row.seconds)
    return span if row.calendar is None else OpenTime(span, Calendar.of_json(row.calendar))
