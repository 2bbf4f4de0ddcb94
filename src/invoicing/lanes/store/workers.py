"""Statements about the workers that registered themselves."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from invoicing.kit.db import Session
from invoicing.lanes.model import Worker
from invoicing.lanes.model.workers import ALIVE_SHARE
from invoicing.lanes.tables import workers

ALIVE_FOR = timedelta(seconds=8)
"""A worker with the usual lease whose thread has not beaten for this long is taken for dead (four beats of 2 s)."""

_LATEST_BEAT = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, workers.c.lease_s * ALIVE_SHARE)


async def register(
    session: Session,
    worker_id: UUID,
    host: str,
    pid: int,
    build: str,
    slots: int,
    lanes: Sequence[str],
    kinds: Sequence[str],
    lease: timedelta = timedelta(seconds=10),
) -> None:
    """Add a worker that has just started, or that was forgotten while it could not be heard."""
    await session.execute(
        insert(workers).values(
            id=worker_id,
            host=host,
            pid=pid,
            build=build,
            slots=slots,
            lanes=list(lanes),
            kinds=list(kinds),
            lease_s=lease.total_seconds(),
        )
    )


async def beat(session: Session, worker_id: UUID, loop_silent_for: timedelta, *, stopping: bool, slots: int) -> bool:
    """Write a worker's proof of life, how long its event loop has been silent and what it offers now.

    False when nobody knows it.
    """
    known = await session.scalar(
        update(workers)
        .where(workers.c.id == worker_id)
        .values(beat_at=func.now(), loop_beat_at=func.now() - loop_silent_for, stopping=stopping, slots=slots)
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
        select(workers, (workers.c.beat_at > _LATEST_BEAT).label("alive")).order_by(workers.c.started_at)
    )
    return [Worker(**{**row, "lanes": tuple(row["lanes"]), "kinds": tuple(row["kinds"])}) for row in rows.mappings()]
