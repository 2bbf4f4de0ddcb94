"""Workers and pauses, as the lanes know them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class Pause:
    """A lane that releases nothing until a time, by whom and why."""

    lane: str
    since: datetime
    until: datetime
    reason: str
    by: str


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
