"""How long a measurement takes: in full, or quickly to see that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Times (seconds), rates and counts."""

    small_per_s: float = 5.0
    idle_s: float = 30.0
    settle_s: float = 5.0
    alone_s: float = 20.0
    beside_s: float = 60.0
    patience_s: float = 5.0
    """How long jobs that have not begun when the last one was sent are waited for."""
    backlog: int = 50_000
    slow_backlog: int = 5_000
    """For peers that would take minutes over the whole: their rate does not depend on it."""
    repetitions: int = 3
    crowd_s: float = 60.0
    kills: int = 20
    """Workers that are killed with each lease, and as many that are told to end."""
    waiting: int = 10_000
    """Jobs that wait when Redis is emptied."""
    flushes: int = 5
    beats_s: float = 60.0
    million: int = 1_000_000
    """Jobs that wait while nothing is wrong."""
    rounds: int = 30
    """Times that each look at a ledger is timed."""
    outages: int = 16
    """Times that each cause is planted whose alert is timed."""
    days: float = 7.0
    faults: int = 40
    """Planted in these days."""


FULL = Pace()
QUICK = Pace(
    small_per_s=8.0,
    idle_s=6.0,
    settle_s=2.0,
    alone_s=5.0,
    beside_s=10.0,
    patience_s=3.0,
    backlog=5_000,
    slow_backlog=1_000,
    repetitions=1,
    crowd_s=12.0,
    kills=2,
    waiting=2_000,
    flushes=1,
    beats_s=10.0,
    million=20_000,
    rounds=5,
    outages=3,
    days=1.0,
    faults=12,
)
