"""What is measured of small jobs beside large ones that burn CPU, in one arrangement."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.burning import burned_s
from benchmarks.pace import Pace
from benchmarks.waits import Wait


@dataclass(frozen=True)
class Case:
    """What was measured in one arrangement: small jobs' waits idle and beside large ones, and the CPU of those."""

    idle: Sequence[Wait]
    loaded: Sequence[Wait]
    alone: float = 0.0
    """CPU of the large jobs without small ones beside them (seconds a second)."""
    beside: float = 0.0
    first_reclass: float | None = None

    @property
    def share(self) -> float:
        """CPU of the large jobs beside small ones, in per cent of what they get alone."""
        return 100 * self.beside / self.alone if self.alone else 0.0

    def since(self, moment: float) -> "Case":
        """Leave out the jobs that came before a moment."""
        later = [wait for wait in self.loaded if wait.accepted >= moment]
        return replace(self, loaded=later or self.loaded)


async def cpu_rate(folder: Path, pace: Pace) -> float:
    """Measure what large jobs get while nothing else is there (seconds of CPU a second)."""
    await asyncio.sleep(pace.settle_s)
    before, began = burned_s(folder), time.monotonic()
    await asyncio.sleep(pace.alone_s)
    return (burned_s(folder) - before) / (time.monotonic() - began)
