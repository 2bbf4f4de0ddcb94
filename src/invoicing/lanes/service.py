"""Deciding what goes on the runways, pausing lanes, and telling how each of them is doing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, LANES, Lane, Pause, Worker, free_for, quotas
from invoicing.lanes.store import all_workers, beat, forget_dead, leave, register

PREFETCH = 1.0
"""Tickets on a runway beyond its free slots, as a share of the slots of its class: hides one round trip, no more."""


@dataclass(frozen=True)
class LaneStanding:
    """How a lane is doing."""

    lane: Lane
    waiting: int
    oldest: datetime | None
    running: int
    released: int
    slots: int
    workers: int
    pause: Pause | None


def runway_target(lane: Lane, workers: Sequence[Worker], running: Mapping[Lane, int]) -> int:
    """How many tickets a lane's runway should hold: its free slots over all live workers and a small prefetch."""
    serving = [worker for worker in workers if worker.alive and not worker.stopping and lane.name in worker.lanes]
    if not serving:
        return 0
    slots = sum(worker.slots for worker in serving)
    quota = sum(quotas(worker.slots)[lane.size] for worker in serving)
    by_size: dict[object, int] = {}
    for other, count in running.items():
        by_size[other.size] = by_size.get(other.size, 0) + count
    free = free_for(lane.size, {size: by_size.get(size, 0) for size in type(lane.size)}, slots)
    return min(free, quota) + max(1, int(quota * PREFETCH))


async def fill_runways(session: Session) -> dict[str, list[ledger.Ticket]]:
    """Release what the runways have room for; the caller puts it into Redis after the commit."""
    await ledger.one_at_a_time(session)
    workers = await store.all_workers(session)
    paused = {pause.lane for pause in await store.active_pauses(session)}
    released = {Lane(*key): count for key, count in (await ledger.runways(session)).items()}
    running = {Lane(*key): count for key, count in (await ledger.running(session)).items()}
    room = {
        (lane.priority, lane.size): runway_target(lane, workers, running) - released.get(lane, 0)
        for lane in LANES
        if lane.name not in paused
    }
    found = await ledger.release(session, {lane: most for lane, most in room.items() if most > 0})
    return {Lane(*key).name: tickets for key, tickets in found.items()}


async def standings(session: Session) -> list[LaneStanding]:
    """Tell how every lane is doing."""
    workers = [worker for worker in await store.all_workers(session) if worker.alive]
    paused = {pause.lane: pause for pause in await store.active_pauses(session)}
    waiting = await ledger.waiting(session)
    released = await ledger.runways(session)
    running = await ledger.running(session)
    found = []
    for lane in LANES:
        key = (lane.priority, lane.size)
        serving = [worker for worker in workers if lane.name in worker.lanes and not worker.stopping]
        count, oldest = waiting.get(key, (0, None))
        found.append(
            LaneStanding(
                lane,
                count,
                oldest,
                running.get(key, 0),
                released.get(key, 0),
                sum(quotas(worker.slots)[lane.size] for worker in serving),
                len(serving),
                paused.get(lane.name),
            )
        )
    return found


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
    await ledger.one_at_a_time(session)
    if until <= await store.database_time(session):
        raise Problem("bad_input", "`until` lies in the past.", field="/until", remedy="Give a time to come.")
    pause = await store.pause(session, name, until, reason, by)
    await ledger.withdraw(session, (lane.priority, lane.size))
    return pause


async def resume_lane(session: Session, name: str) -> bool:
    """Let a paused lane go on; tells whether it was paused."""
    lane_named(name)
    resumed = await store.resume(session, name)
    await ledger.wake_dispatcher(session)
    return resumed


def build() -> str:
    """Name the build that this process runs."""
    return version("invoicing")


__all__ = [
    "LaneStanding",
    "all_workers",
    "beat",
    "build",
    "fill_runways",
    "forget_dead",
    "lane_named",
    "leave",
    "pause_lane",
    "register",
    "resume_lane",
    "runway_target",
    "standings",
    "workforce",
]
