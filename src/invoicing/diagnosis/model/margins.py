"""How ranges are put right by how earlier ones fared: conformal margins on what came, to what was foreseen.

Whatever makes the points wrong (estimates, the order, the load), it made the last few hundred wrong in the same way, so
their ratios tell how wide a range must be. Cases that go on still count for as long as they went on (Kaplan and Meier):
left out, the long ones would always be missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, floor

from invoicing.jobs.model import Size

CONFIDENCE = 0.9
"""Share of jobs that should end inside a range."""

LAST = 500
"""Cases of a class and stage that are looked at, the newest."""

FEWEST_CASES = 60
"""With fewer, the outer ones would decide alone: a range is then not called certain."""

_LEAST = 0.02
"""No range is narrower than so much of its point on both sides: nothing is known more exactly."""

SHORTEST_S = 0.001
"""No point and no time counts as shorter."""


class Stage(StrEnum):
    """Where a job stands when its end is foreseen: each stage has errors of its own."""

    WAITING = "waiting"
    STARTING = "starting"
    """It is due, and a slot is free for it."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Case:
    """A point that was given, and what came of it (seconds)."""

    foreseen_s: float
    passed_s: float
    """Until its end; of one that goes on, until now."""
    ended: bool = True

    @property
    def ratio(self) -> float:
        """What came, to what was foreseen."""
        return max(self.passed_s, SHORTEST_S) / max(self.foreseen_s, SHORTEST_S)


@dataclass(frozen=True)
class Margins:
    """By what a point is multiplied: for the earliest, the likely and the latest end."""

    low: float
    middle: float
    high: float
    cases: int
    """Ended ones that they rest on."""


Of = tuple[Size, Stage]
AllMargins = Mapping[Of, Margins]


def margins(cases: Sequence[Case]) -> Margins | None:
    """Take the margins from cases; None of too few that ended."""
    ended = sum(case.ended for case in cases)
    if ended < FEWEST_CASES:
        return None
    rest = (1 - CONFIDENCE) / 2
    below, above = floor((ended + 1) * rest) / ended, ceil((ended + 1) * (1 - rest)) / ended
    low, middle, high = _quantiles(cases, (below, 0.5, min(above, 1.0)))
    return Margins(min(low, middle * (1 - _LEAST)), middle, max(high, middle * (1 + _LEAST)), ended)


def _quantiles(cases: Iterable[Case], shares: Sequence[float]) -> list[float]:
    """Give the ratios below which these shares of all cases (ascending) end; the longest seen where that is unknown."""
    ordered = sorted((case.ratio, not case.ended) for case in cases)
    found: list[float] = []
    beyond, at_risk = 1.0, len(ordered)
    for ratio, goes_on in ordered:
        if not goes_on:
            beyond *= 1 - 1 / at_risk
            while len(found) < len(shares) and 1 - beyond >= shares[len(found)] - 1e-9:
                found.append(ratio)
        at_risk -= 1
    return found + [ordered[-1][0]] * (len(shares) - len(found))
