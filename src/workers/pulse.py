"""When each loop of a process last did what it is for: a loop that hangs does not say so itself."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

_PERIODS = 5
"""A loop is late when it has missed so many of its own rounds."""

_AT_LEAST_S = 60.0
"""And not before: a statement may take half a minute before it is given up, which is slow, but no hang."""

DONE, FAILED = "done", "failed"


class Pulse:
    """One loop: its period, how its rounds ended, and when it was last known to get on."""

    def __init__(self, name: str, period_s: float, clock: Callable[[], float]) -> None:
        """Begin as if it had just got on: a loop that never does is late a while after its start."""
        self.name = name
        self.period_s = period_s
        self.rounds: Counter[str] = Counter()
        self._clock = clock
        self._last = clock()

    @contextmanager
    def round(self) -> Iterator[None]:
        """Note how a round ends."""
        try:
            yield
        except Exception:
            self.rounds[FAILED] += 1
            raise
        self.rounds[DONE] += 1
        self.get_on()

    def get_on(self) -> None:
        """Note that it gets on: at the end of a round, or after a step of a long one."""
        self._last = self._clock()

    @property
    def age_s(self) -> float:
        """How long ago it got on (seconds)."""
        return self._clock() - self._last

    @property
    def late(self) -> bool:
        """Whether it missed several rounds: it hangs, or all its rounds fail."""
        return self.age_s > max(_PERIODS * self.period_s, _AT_LEAST_S)


class Pulses:
    """All loops of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Know of no loop yet."""
        self._clock = clock
        self._by_name: dict[str, Pulse] = {}

    def of(self, name: str, period_s: float) -> Pulse:
        """Give the pulse of a loop, which is known from its first call on."""
        return self._by_name.setdefault(name, Pulse(name, period_s, self._clock))

    def get_on(self, name: str) -> None:
        """Note that a loop gets on; one that is not known yet has not begun."""
        if pulse := self._by_name.get(name):
            pulse.get_on()

    def all(self) -> Sequence[Pulse]:
        """List all loops; from any thread."""
        return list(self._by_name.values())

    def late(self) -> Sequence[str]:
        """Name the loops that missed several of their rounds."""
        return [pulse.name for pulse in self.all() if pulse.late]
