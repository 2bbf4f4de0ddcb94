"""Counting and timing on busy paths: plain numbers of one thread, which another may read at any moment."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TypeVar

Named = TypeVar("Named")


def copied(counts: Mapping[Named, int]) -> dict[Named, int]:
    """Copy what another thread goes on counting in; copying a dictionary is one step to other threads."""
    return dict(counts)


class Timings:
    """How often something took how long, by bounds (seconds)."""

    __slots__ = ("_counts", "bounds", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Have taken no time yet; `bounds` rise."""
        self.bounds = bounds
        self.total_s = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Give how many took at most each bound, as Prometheus writes it: bounds as text, the last one `+Inf`."""
        count, buckets = 0, []
        for bound, here in zip([*map(str, self.bounds), "+Inf"], list(self._counts), strict=True):
            count += here
            buckets.append((bound, float(count)))
        return buckets
