"""Every parameter of the scheduling policy, with the defaults that the simulations chose."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

from invoicing.jobs.model import Priority, Size


@dataclass(frozen=True)
class Cutoffs:
    """The longest predicted work (seconds) of each class; beyond the last it is huge. Cut low rather than high."""

    small_s: float = 1.0
    medium_s: float = 30.0
    large_s: float = 900.0

    def limit(self, size: Size) -> float | None:
        """Give the limit of a class (seconds), None for the largest."""
        return {Size.SMALL: self.small_s, Size.MEDIUM: self.medium_s, Size.LARGE: self.large_s}.get(size)

    def classify(self, predicted_s: float) -> Size:
        """Give the size class of that much work (seconds)."""
        for size in (Size.SMALL, Size.MEDIUM, Size.LARGE):
            limit = self.limit(size)
            if limit is not None and predicted_s <= limit:
                return size
        return Size.HUGE


_SIZES = (Size.SMALL, Size.MEDIUM, Size.LARGE, Size.HUGE)

_DELAYS_S: Mapping[Priority, Mapping[Size, float]] = MappingProxyType(
    {
        Priority.URGENT: dict(zip(_SIZES, (0.0, 5.0, 30.0, 300.0), strict=True)),
        Priority.NORMAL: dict(zip(_SIZES, (20.0, 60.0, 600.0, 7_200.0), strict=True)),
        Priority.BULK: dict(zip(_SIZES, (900.0, 1_800.0, 7_200.0, 43_200.0), strict=True)),
    }
)


@dataclass(frozen=True)
class Policy:
    """How slots are shared; a setting of the fleet, in part of a host, that can be changed live."""

    cutoffs: Cutoffs = Cutoffs()
    reserve: Mapping[Size, float] = field(
        default_factory=lambda: {Size.SMALL: 0.0, Size.MEDIUM: 0.125, Size.LARGE: 0.25, Size.HUGE: 0.375}
    )
    """Share of a worker's slots that jobs of a class or larger never take (rounded down: none of few slots)."""
    spare: int = 1
    """Slots of a worker beyond its pool that only small jobs use: one is at hand even while larger work fills the
    pool, and that has less weight with the operating system."""
    delays_s: Mapping[Priority, Mapping[Size, float]] = field(default_factory=lambda: _DELAYS_S)
    """How long after its acceptance a job counts as due (seconds): among equally served, the earliest due starts."""
    slack_s: float = 0.1
    """Customers whose service differs by less (seconds of slot) count as equally served."""
    lead_s: float = 5.0
    """How much more service a customer may have had and still have its smaller work start before others' larger work
    (seconds of slot): small work is quick as long as it comes in bursts, and nobody lives on it."""
    size_share: Mapping[Size, float] = field(
        default_factory=lambda: {Size.SMALL: 0.0, Size.MEDIUM: 0.05, Size.LARGE: 0.05, Size.HUGE: 0.05}
    )
    """Share of the service that a class gets at least while it waits, whatever else does; 0: order alone decides."""
    priority_share: Mapping[Priority, float] = field(
        default_factory=lambda: {Priority.URGENT: 0.0, Priority.NORMAL: 0.1, Priority.BULK: 0.05}
    )
    """The same for a priority. Nothing for urgent: it comes first as it is, and calling work urgent must gain nothing
    beyond the own share."""
    least_run_s: float = 0.5
    """How long work runs at least before it is asked to give way to smaller or more urgent work (seconds): half of what
    lies between two checkpoints, so that it stops at the first and not just after it."""
    quantum_s: float = 1.0
    """How long work that was asked may go on until its next checkpoint before it is set aside (seconds)."""
    turn_s: Mapping[Size, float] = field(
        default_factory=lambda: {Size.SMALL: 1.0, Size.MEDIUM: 10.0, Size.LARGE: 30.0, Size.HUGE: 30.0}
    )
    """How long work runs before it gives way to its equals (seconds)."""
    runway_s: float = 0.1
    """Predicted work on a runway beyond its free slots, for each slot (seconds): hides a round trip, no more."""
    patience: Mapping[Priority, float] = field(
        default_factory=lambda: {Priority.URGENT: 4.0, Priority.NORMAL: 2.0, Priority.BULK: 1.0}
    )
    """How many times the promise of its class the predicted wait of a new job may be; beyond, it is refused: bulk
    first, urgent last."""
    max_waiting: int = 100_000
    """How many jobs of a customer may wait where the customer has no limit of its own: a loop gone wild is stopped
    before it fills the ledger, and no honest month's end comes near it."""

    def due_after(self, priority: Priority, size: Size) -> timedelta:
        """How long after its acceptance a job of a lane counts as due."""
        return timedelta(seconds=self.delays_s[priority][size])


POLICY = Policy()
