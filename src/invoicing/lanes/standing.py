"""How every lane is doing, from what is counted where it changes: the backlog is never looked through."""

from dataclasses import dataclass
from datetime import datetime
from math import isinf

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.lanes import store
from invoicing.lanes.model import Lane, Pause
from invoicing.lanes.signals import read_signals


@dataclass(frozen=True)
class LaneStanding:
    """How a lane is doing."""

    lane: Lane
    waiting: int
    work_s: float
    """Predicted work of what waits (seconds)."""
    oldest: datetime | None
    running: int
    released: int
    slots: int
    workers: int
    pause: Pause | None
    rate: float = 0.0
    """Jobs that succeeded a second, over the last minute."""
    drain_s: float | None = None
    """Until what waits here, and what comes before it, is done at the present slots; None: nothing works on it."""


async def standings(session: Session) -> list[LaneStanding]:
    """Tell how every lane is doing."""
    signals = await read_signals(session)
    workers = [worker for worker in await store.all_workers(session) if worker.alive and not worker.stopping]
    paused = {pause.lane: pause for pause in await store.active_pauses(session)}
    released, oldest, rates = await ledger.runways(session), await ledger.oldest(session), await ledger.rates(session)
    return [
        LaneStanding(
            lane=signal.lane,
            waiting=signal.waiting,
            work_s=signal.work_s,
            oldest=oldest.get((signal.lane.priority, signal.lane.size)),
            running=signal.running,
            released=released.get((signal.lane.priority, signal.lane.size), 0),
            slots=signal.slots,
            workers=sum(signal.lane.name in worker.lanes for worker in workers),
            pause=paused.get(signal.lane.name),
            rate=rates.get((signal.lane.priority, signal.lane.size), 0.0),
            drain_s=None if isinf(signal.drain_s) else signal.drain_s,
        )
        for signal in signals.lanes
    ]
