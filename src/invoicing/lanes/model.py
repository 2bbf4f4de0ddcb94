"""The rules of lanes: classes, order and slots; pure, over plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from invoicing.jobs.model import Priority, Size

SIZES = tuple(Size)
"""From the smallest class to the largest."""


@dataclass(frozen=True, order=True)
class Lane:
    """A queue: one priority and one size class."""

    priority: Priority
    size: Size

    @property
    def name(self) -> str:
        """What people call it, as in `normal-small`."""
        return f"{self.priority}-{self.size}"


LANES = tuple(Lane(priority, size) for size in Size for priority in Priority)
"""Every lane in the order in which a free slot looks at them: smaller first (simulated: larger first costs small
jobs 13 to 360 s at p99), and within a class the more urgent first."""

BY_NAME: Mapping[str, Lane] = MappingProxyType({lane.name: lane for lane in LANES})

LIMITS_S: Mapping[Size, float] = MappingProxyType({Size.SMALL: 1.0, Size.MEDIUM: 30.0, Size.LARGE: 900.0})
"""The longest predicted work (seconds) of each class; beyond the last it is huge. Cut low rather than high."""

_ORDER_DELAY_S: Mapping[Priority, tuple[int, int, int, int]] = MappingProxyType(
    {
        Priority.URGENT: (0, 5, 30, 300),
        Priority.NORMAL: (20, 60, 600, 7_200),
        Priority.BULK: (900, 1_800, 7_200, 43_200),
    }
)


def classify(predicted_s: float) -> Size:
    """Give the size class of that much work (seconds)."""
    return next((size for size, limit in LIMITS_S.items() if predicted_s <= limit), Size.HUGE)


def larger(size: Size) -> Size | None:
    """Give the next larger class, None for the largest."""
    place = SIZES.index(size) + 1
    return SIZES[place] if place < len(SIZES) else None


def order_delay(priority: Priority, size: Size) -> timedelta:
    """How long after its acceptance a job counts as due: the lower, the earlier it is taken."""
    return timedelta(seconds=_ORDER_DELAY_S[priority][SIZES.index(size)])


def quotas(slots: int) -> Mapping[Size, int]:
    """How many of `slots` may run jobs of a class *or larger*: small work may use every slot, larger never the last.

    Each class leaves about an eighth of the slots, and at least one while there are enough, to the classes below it.
    """
    reserve = max(1, slots // 8)
    return MappingProxyType({size: max(1, slots - reserve * place) for place, size in enumerate(SIZES)})


def free_for(size: Size, running: Mapping[Size, int], slots: int) -> int:
    """How many more jobs of a class may start, given how many of each run.

    Jobs of a class and of the larger ones together stay within its quota. Those over it (they turned out larger than
    they were taken for) count only up to the quota, so smaller work gets its slots back as soon as they are re-classed.
    """
    quota = quotas(slots)
    occupied = 0
    left: dict[Size, int] = {}
    for other in reversed(SIZES):
        occupied += running.get(other, 0)
        left[other] = quota[other] - occupied
        occupied = min(occupied, quota[other])
    return max(0, min(left[other] for other in SIZES[: SIZES.index(size) + 1]))


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
