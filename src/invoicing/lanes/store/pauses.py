"""Statements about pauses."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy import func, insert, select, text, update

from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.lanes.model import Pause
from invoicing.lanes.tables import pauses

_PAUSED = """
SELECT lane, NULL::uuid AS customer_id, extract(epoch FROM until)::float8 AS until FROM pauses
WHERE ended_at IS NULL AND until > now()
UNION ALL
SELECT NULL, customer_id, extract(epoch FROM until)::float8 FROM customer_pauses
WHERE ended_at IS NULL AND until > now()
"""


class Paused(NamedTuple):
    """What is paused, each with the time until which it is (seconds since the epoch)."""

    lanes: Mapping[str, float]
    customers: Mapping[UUID, float]


async def active_pauses(session: Session) -> list[Pause]:
    """List the pauses that hold now."""
    rows = await session.execute(
        select(*(pauses.c[field.name] for field in fields(Pause))).where(
            pauses.c.ended_at.is_(None), pauses.c.until > func.now()
        )
    )
    return [Pause(**row) for row in rows.mappings()]


async def paused(connection: "asyncpg.Connection[Any]") -> Paused:
    """Name the lanes and the customers that are paused."""
    rows = await connection.fetch(_PAUSED)
    return Paused(
        {row["lane"]: row["until"] for row in rows if row["lane"] is not None},
        {row["customer_id"]: row["until"] for row in rows if row["customer_id"] is not None},
    )


async def pause(
    session: Session, lane: str, until: datetime, reason: str, by: str, maintenance_id: UUID | None = None
) -> Pause:
    """Pause a lane, perhaps as part of a maintenance window; an earlier pause of it is replaced."""
    await resume(session, lane)
    values = {"lane": lane, "until": until, "reason": reason, "by": by, "maintenance_id": maintenance_id}
    since = (await session.execute(insert(pauses).values(id=new_id(), **values).returning(pauses.c.since))).scalar_one()
    return Pause(lane, since, until, reason, by, maintenance_id)


async def resume(session: Session, lane: str) -> bool:
    """End a lane's pause; tells whether it was paused."""
    ended = await session.execute(
        update(pauses)
        .where(pauses.c.lane == lane, pauses.c.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(pauses.c.until > func.now())
    )
    return any(ended.scalars())


async def resume_after(session: Session, maintenance_id: UUID) -> list[str]:
    """End the pauses that are part of a maintenance window; gives their lanes."""
    ended = await session.execute(
        update(pauses)
        .where(pauses.c.maintenance_id == maintenance_id, pauses.c.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(pauses.c.lane)
    )
    return list(ended.scalars())


async def database_time(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    moment: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    return moment
