"""Statements about the rota: a version for each change, and overrides."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, select, text, update

from invoicing.kit.db import Session
from invoicing.rota.model import Override
from invoicing.rota.tables import rota_overrides, rotas

_r, _o = rotas.c, rota_overrides.c

_SHOWN = (_o.id, _o.begins, _o.ends, _o.person, _o.replaces, _o.level, _o.uid)


class Version(NamedTuple):
    """The rota as somebody wrote it."""

    number: int
    document: Mapping[str, Any]
    by: str
    reason: str
    at: datetime


async def hold(session: Session) -> None:
    """Let nobody else change the rota before this transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('rota', 0))"))


async def latest(session: Session) -> Version | None:
    """Read the rota that is in force; None: nobody has written one."""
    row = (await session.execute(select(rotas).order_by(_r.version.desc()).limit(1))).one_or_none()
    return None if row is None else Version(row.version, row.document, row.by, row.reason, row.at)


async def write(session: Session, number: int, document: Mapping[str, Any], by: str, reason: str) -> None:
    """Write the next version."""
    values = {"version": number, "document": dict(document), "by": by, "reason": reason}
    await session.execute(insert(rotas).values(**values))


async def overrides(session: Session, after: datetime) -> tuple[Override, ...]:
    """List the overrides that end after a moment, in the order in which they were made."""
    query = select(*_SHOWN).where(_o.removed_at.is_(None), _o.ends > after).order_by(_o.id)
    return tuple(Override(**row) for row in (await session.execute(query)).mappings())


async def add(session: Session, added: Sequence[Override], by: str, reason: str) -> None:
    """Write overrides down."""
    if added:
        rows = [
            {**{column.name: getattr(one, column.name) for column in _SHOWN}, "by": by, "reason": reason}
            for one in added
        ]
        await session.execute(insert(rota_overrides), rows)


async def remove(session: Session, override_id: UUID) -> bool:
    """Remove an override; False when there is none."""
    removed = await session.execute(
        update(rota_overrides)
        .where(_o.id == override_id, _o.removed_at.is_(None))
        .values(removed_at=func.now())
        .returning(_o.id)
    )
    return removed.one_or_none() is not None


async def remove_imported(session: Session, after: datetime) -> int:
    """Remove what came from a calendar and is not over; gives how many."""
    removed = await session.execute(
        update(rota_overrides)
        .where(_o.uid.is_not(None), _o.removed_at.is_(None), _o.ends > after)
        .values(removed_at=func.now())
        .returning(_o.id)
    )
    return len(removed.all())
