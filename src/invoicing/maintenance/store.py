"""Statements about maintenance windows; what they touch is counted from tallies, never from the backlog itself."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, insert, select, text, update
from sqlalchemy.engine import RowMapping

from invoicing.kit.db import Session
from invoicing.maintenance.model import Window
from invoicing.maintenance.tables import maintenance, maintenance_notices

_c = maintenance.c
_SHOWN = [_c[field.name] for field in fields(Window)]

USED_LATELY = "7 days"
"""Who had jobs in a lane within this time is told of what will happen to it, whether any wait now or not."""

_OF_LANES = "(priority || '-' || size) = ANY(CAST(:lanes AS text[]))"

_WAITING = f"""
SELECT customer_id, sum(waiting)::bigint AS waiting FROM (
    SELECT customer_id, waiting FROM tallies WHERE {_OF_LANES}
    UNION ALL SELECT customer_id, waiting FROM tally_changes WHERE {_OF_LANES}
) AS counted GROUP BY customer_id HAVING sum(waiting) > 0
"""

_RUNNING = f"SELECT customer_id, count(*) AS running FROM jobs WHERE state = 'running' AND {_OF_LANES} GROUP BY 1"

_LATELY = f"""
SELECT DISTINCT customer_id FROM waits
WHERE lane = ANY(CAST(:lanes AS text[])) AND day >= current_date - interval '{USED_LATELY}'
"""

_NOTICE = text(f"""
WITH touched AS (
    SELECT customer_id FROM ({_WAITING}) AS w UNION SELECT customer_id FROM ({_RUNNING}) AS r
    UNION SELECT customer_id FROM ({_LATELY}) AS l WHERE :lately
), told AS (
    INSERT INTO maintenance_notices (maintenance_id, customer_id)
    SELECT :id, t.customer_id FROM touched t WHERE NOT EXISTS (
        SELECT FROM maintenance_notices n WHERE n.maintenance_id = :id AND n.customer_id = t.customer_id
    ) ORDER BY 2 LIMIT :most
    ON CONFLICT DO NOTHING RETURNING customer_id
)
SELECT customer_id FROM told
""")

# Bounded: who plans a window wants to know whether it is ten promises or thousands.
_TOUCHED = text(f"""
SELECT c.slug, coalesce(w.waiting, 0) AS waiting, coalesce(r.running, 0) AS running, coalesce(p.promises, 0) AS promises
FROM customers c LEFT JOIN ({_WAITING}) AS w ON w.customer_id = c.id LEFT JOIN ({_RUNNING}) AS r ON r.customer_id = c.id
LEFT JOIN ({_LATELY}) AS l ON l.customer_id = c.id
LEFT JOIN (
    SELECT customer_id, count(*) AS promises FROM (
        SELECT customer_id FROM jobs
        WHERE finished_at IS NULL AND promise_status <> 'missed' AND promise_due > :begins AND {_OF_LANES}
        ORDER BY promise_due DESC LIMIT :most
    ) AS due GROUP BY customer_id
) AS p ON p.customer_id = c.id
WHERE w.customer_id IS NOT NULL OR r.customer_id IS NOT NULL OR l.customer_id IS NOT NULL
ORDER BY waiting + coalesce(r.running, 0) DESC, c.slug LIMIT :shown
""")


@dataclass(frozen=True)
class Touched:
    """A customer whom a window touches."""

    customer: str
    waiting: int
    running: int
    promises: int
    """Of unfinished jobs that are due after its beginning."""


@dataclass(frozen=True)
class Reached:
    """How far the promises of a window's lanes are shifted."""

    below: UUID | None
    due: datetime | None
    id: UUID | None
    shifted_at: datetime | None
    since: UUID | None


async def hold(session: Session) -> None:
    """Let nobody else plan a window before this transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('maintenance', 0))"))


async def add(session: Session, window: Window) -> Window:
    """Write a window down."""
    values = {field.name: getattr(window, field.name) for field in fields(Window) if field.name != "created_at"}
    row = await session.execute(
        insert(maintenance).values(**{**values, "lanes": list(window.lanes)}).returning(*_SHOWN)
    )
    return _window(row.mappings().one())


async def windows(session: Session, *, over: bool, most: int) -> list[Window]:
    """List the windows that are not over, the next first; with `over` those that are too, the latest first."""
    query: Select[tuple[object, ...]] = select(*_SHOWN)
    query = query.order_by(_c.begins.desc()) if over else query.where(_c.ended_at.is_(None)).order_by(_c.begins)
    return [_window(row) for row in (await session.execute(query.limit(most))).mappings()]


async def window(session: Session, window_id: UUID) -> Window | None:
    """Find a window, and let nobody else change it until this transaction ends."""
    row = (await session.execute(select(*_SHOWN).where(_c.id == window_id).with_for_update())).mappings().one_or_none()
    return None if row is None else _window(row)


async def unfinished(session: Session) -> list[UUID]:
    """Name the windows that are not over."""
    return list((await session.scalars(select(_c.id).where(_c.ended_at.is_(None)).order_by(_c.begins))).all())


async def held(session: Session, window_id: UUID) -> tuple[Window, datetime] | None:
    """Take a window that is not over until this transaction ends, with the time; None: it is, or another has it."""
    query = select(*_SHOWN, func.now().label("now")).where(_c.id == window_id, _c.ended_at.is_(None))
    row = (await session.execute(query.with_for_update(skip_locked=True))).mappings().one_or_none()
    return None if row is None else (_window(row), row["now"])


async def begin(session: Session, window_id: UUID) -> None:
    """Write that a window has begun."""
    await session.execute(update(maintenance).where(_c.id == window_id).values(begun_at=func.now()))


async def end(session: Session, window_id: UUID) -> None:
    """Write that a window is over, or was cancelled."""
    await session.execute(update(maintenance).where(_c.id == window_id).values(ended_at=func.now()))


async def announced(session: Session, window_id: UUID) -> None:
    """Write that all whom a window touches have been told."""
    await session.execute(update(maintenance).where(_c.id == window_id).values(announced_at=func.now()))


async def note_told(session: Session, window: Window, most: int) -> list[UUID]:
    """Note customers whom a window touches and who were not told yet, some at a time; they are then to be told."""
    asked = {"id": window.id, "lanes": list(window.lanes), "lately": window.announced_at is None, "most": most}
    return list((await session.scalars(_NOTICE, asked)).all())


async def told(session: Session, window_id: UUID) -> list[UUID]:
    """Name the customers who were told of a window."""
    query = select(maintenance_notices.c.customer_id).where(maintenance_notices.c.maintenance_id == window_id)
    return list((await session.scalars(query)).all())


async def touched(
    session: Session, lanes: Collection[str], begins: datetime, *, most: int, shown: int
) -> list[Touched]:
    """Say whom a window would touch, those with the most jobs first; promises are counted up to a bound."""
    rows = await session.execute(_TOUCHED, {"lanes": list(lanes), "begins": begins, "most": most, "shown": shown})
    return [Touched(row.slug, row.waiting, row.running, row.promises) for row in rows]


async def reached(session: Session, window_id: UUID) -> Reached:
    """Tell how far promises are shifted."""
    columns = (_c.shift_below, _c.shift_due, _c.shift_id, _c.shifted_at, _c.shift_from)
    return Reached(*(await session.execute(select(*columns).where(_c.id == window_id))).one())


async def reach(session: Session, window_id: UUID, place: Reached, shifted: int) -> None:
    """Write how far promises are shifted, and how many were this time."""
    await session.execute(
        update(maintenance)
        .where(_c.id == window_id)
        .values(
            shift_below=place.below,
            shift_due=place.due,
            shift_id=place.id,
            shifted_at=place.shifted_at,
            shift_from=place.since,
            shifted=_c.shifted + shifted,
        )
    )


def _window(row: RowMapping) -> Window:
    return Window(**{field.name: row[field.name] for field in fields(Window)} | {"lanes": tuple(row["lanes"])})
