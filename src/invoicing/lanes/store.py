"""Statements about pauses and workers."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update

from invoicing.kit.db import Session
from invoicing.kit.ids import new_id
from invoicing.lanes.model import Pause, Worker
from invoicing.lanes.tables import pauses, workers

ALIVE_FOR = timedelta(seconds=8)
"""A worker whose thread has not beaten for this long is taken for dead (four beats of 2 s)."""


async def active_pauses(session: Session) -> list[Pause]:
    """List the pauses that hold now."""
    rows = await session.execute(
        select(pauses.c.lane, pauses.c.since, pauses.c.until, pauses.c.reason, pauses.c.by).where(
            pauses.c.ended_at.is_(None), pauses.c.until > func.now()
        )
    )
    return [Pause(row.lane, row.since, row.until, row.reason, row.by) for row in rows]


async def pause(session: Session, lane: str, until: datetime, reason: str, by: str) -> Pause:
    """Pause a lane; an earlier pause of it is replaced."""
    await resume(session, lane)
    row = (
        await session.execute(
            insert(pauses).values(id=new_id(), lane=lane, until=until, reason=reason, by=by).returning(pauses.c.since)
        )
    ).one()
    return Pause(lane, row.since, until, reason, by)


async def resume(session: Session, lane: str) -> bool:
    """End a lane's pause; tells whether it was paused."""
    ended = await session.execute(
        update(pauses)
        .where(pauses.c.lane == lane, pauses.c.ended_at.is_(None))
        .values(ended_at=func.now())
        .returning(pauses.c.until > func.now())
    )
    return any(ended.scalars())


async def register(
    session: Session,
    worker_id: UUID,
    host: str,
    pid: int,
    build: str,
    slots: int,
    lanes: Sequence[str],
    kinds: Sequence[str],
) -> None:
    """Add a worker that has just started, or that was forgotten while it could not be heard."""
    await session.execute(
        insert(workers).values(
            id=worker_id, host=host, pid=pid, build=build, slots=slots, lanes=list(lanes), kinds=list(kinds)
        )
    )


async def beat(session: Session, worker_id: UUID, loop_silent_for: timedelta, *, stopping: bool) -> bool:
    """Write a worker's proof of life, and how long its event loop has been silent; False when nobody knows it."""
    known = await session.scalar(
        update(workers)
        .where(workers.c.id == worker_id)
        .values(beat_at=func.now(), loop_beat_at=func.now() - loop_silent_for, stopping=stopping)
        .returning(workers.c.id)
    )
    return known is not None


async def leave(session: Session, worker_id: UUID) -> None:
    """Remove a worker that has ended its work."""
    await session.execute(delete(workers).where(workers.c.id == worker_id))


async def forget_dead(session: Session, silent_for: timedelta) -> list[UUID]:
    """Remove workers that have been dead for long; what they held was rescued by its leases."""
    gone = await session.execute(
        delete(workers).where(workers.c.beat_at < func.now() - silent_for).returning(workers.c.id)
    )
    return list(gone.scalars())


async def all_workers(session: Session) -> list[Worker]:
    """List the registered workers, the oldest first."""
    rows = await session.execute(
        select(workers, (workers.c.beat_at > func.now() - ALIVE_FOR).label("alive")).order_by(workers.c.started_at)
    )
    return [Worker(**{**row, "lanes": tuple(row["lanes"]), "kinds": tuple(row["kinds"])}) for row in rows.mappings()]


async def database_time(session: Session) -> datetime:
    """Read PostgreSQL's clock."""
    moment: datetime = (await session.execute(text("SELECT now()"))).scalar_one()
    return moment
