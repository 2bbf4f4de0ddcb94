"""Lanes: priority x size class."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from invoicing.jobs.model import Priority, Size

SIZES = tuple(Size)
"""From the smallest class to the largest."""


@dataclass(frozen=True, order=True)
class Lane:
    """A queue: one priority and one size class."""

    priority: Priority
    size: Size

    def __hash__(self) -> int:
        """Hash by place: lanes are keys of much that is looked up for every job."""
        return self.place

    @cached_property
    def name(self) -> str:
        """What people call it, as in `normal-small`."""
        return f"{self.priority}-{self.size}"

    @cached_property
    def place(self) -> int:
        """Its place in `LANES`, which costs nothing to ask again."""
        return SIZES.index(self.size) * len(Priority) + list(Priority).index(self.priority)


LANES = tuple(Lane(priority, size) for size in Size for priority in Priority)
"""Every lane: the smaller class first, and within a class the more urgent first."""

BY_PARTS: Mapping[tuple[str, str], Lane] = MappingProxyType({(lane.priority, lane.size): lane for lane in LANES})

BY_NAME: Mapping[str, Lane] = MappingProxyType({lane.name: lane for lane in LANES})


def larger(size: Size) -> Size | None:
    """Give the next larger class, None for the largest."""
    place = SIZES.index(size) + 1
    return SIZES[place] if place < len(SIZES) else None


def smaller(size: Size) -> tuple[Size, ...]:
    """Give the classes below one, the smallest first."""
    return SIZES[: SIZES.index(size)]
