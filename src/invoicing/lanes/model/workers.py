"""Workers and pauses, as the lanes know them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

Moment = TypeVar("Moment", float, datetime)

ALIVE_SHARE = 0.8
"""The part of its lease after which a worker that does not beat is taken for dead: four beats of five."""


@dataclass(frozen=True)
class Pause:
    """A lane that releases nothing until a time, by whom and why."""

    lane: str
    since: datetime
    until: datetime
    reason: str
    by: str
    maintenance_id: UUID | None = None
    """The maintenance window that it is part of."""


def holds_back(until: Moment, now: Moment) -> bool:
    """Tell whether a pause still holds back the jobs of its lane or customer."""
    return until > now


@dataclass(frozen=True)
class Worker:
    """A worker process as it registered itself, with its two beats: of its thread and of its event loop."""

    id: UUID
    host: str
    pid: int
    build: str
    slots: int
    lanes: tuple[str, ...]
    kinds: tuple[str, ...]
    started_at: datetime
    beat_at: datetime
    loop_beat_at: datetime
    stopping: bool
    alive: bool
    lease_s: float = 10.0
    """How long its leases are; it beats five times in each."""

    @property
    def alive_for(self) -> timedelta:
        """After how long without a beat it is taken for dead: four beats."""
        return timedelta(seconds=self.lease_s * ALIVE_SHARE)
