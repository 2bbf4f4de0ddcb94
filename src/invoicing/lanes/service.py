"""Pausing lanes, and what the room offers to others."""

from collections.abc import Collection, Mapping
from datetime import datetime
from importlib.metadata import version
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.jobs.service import wake_dispatcher
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, Lane, Pause, Worker
from invoicing.lanes.standing import LaneStanding, standings
from invoicing.lanes.store import all_workers, beat, forget_dead, leave, register


async def workforce(session: Session) -> tuple[list[Worker], Mapping[UUID, list[UUID]]]:
    """List the workers, and the running jobs that each holds."""
    return await store.all_workers(session), await ledger.held(session)


def lane_named(name: str) -> Lane:
    """Find a lane by its name."""
    lane = BY_NAME.get(name)
    if lane is None:
        raise Problem("not_found", f"There is no lane {name!r}.", remedy=f"The lanes are {', '.join(BY_NAME)}.")
    return lane


async def pause_lane(session: Session, name: str, until: datetime, reason: str, by: str) -> Pause:
    """Stop releasing from a lane until a time; what is on its runway goes back to the backlog at once."""
    lane = lane_named(name)
    await ledger.hold_releases(session)
    if until <= await store.database_time(session):
        raise Problem("bad_input", "`until` lies in the past.", field="/until", remedy="Give a time to come.")
    pause = await store.pause(session, name, until, reason, by)
    await ledger.withdraw(session, (lane.priority, lane.size))
    return pause


async def resume_lane(session: Session, name: str) -> bool:
    """Let a paused lane go on; tells whether it was paused."""
    lane_named(name)
    await ledger.hold_releases(session)
    resumed = await store.resume(session, name)
    await wake_dispatcher(session)
    return resumed


async def drain_lanes(
    session: Session, names: Collection[str], until: datetime, reason: str, by: str, maintenance_id: UUID
) -> list[str]:
    """Pause lanes as part of a maintenance window, but for those that are paused for as long anyway; names them."""
    await ledger.hold_releases(session)
    held = {pause.lane: pause.until for pause in await store.active_pauses(session)}
    drained = [name for name in names if name not in held or held[name] < until]
    for name in drained:
        lane = lane_named(name)
        await store.pause(session, name, until, reason, by, maintenance_id)
        await ledger.withdraw(session, (lane.priority, lane.size))
    return drained


async def end_drain(session: Session, maintenance_id: UUID) -> list[str]:
    """Let the lanes go on that are paused as part of a maintenance window; names them."""
    await ledger.hold_releases(session)
    resumed = await store.resume_after(session, maintenance_id)
    await wake_dispatcher(session)
    return resumed


def build() -> str:
    """Name the build that this process runs."""
    return version("invoicing")


__all__ = [
    "LaneStanding",
    "all_workers",
    "beat",
    "build",
    "drain_lanes",
    "end_drain",
    "forget_dead",
    "lane_named",
    "leave",
    "pause_lane",
    "register",
    "resume_lane",
    "standings",
    "wake_dispatcher",
    "workforce",
]
