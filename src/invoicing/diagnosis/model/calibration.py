"""How well ends were foreseen: what was said and what came of it, added up so that sums of days can be added again.

Errors are counted in steps of 12 %, so that a median of any number of them is known to 6 % without keeping them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import log10
from typing import NamedTuple

from invoicing.diagnosis.model.margins import CONFIDENCE, FEWEST_CASES, SHORTEST_S, Stage
from invoicing.jobs.model import Size

_STEPS = 20
"""Of a power of ten."""

_NEAR_ENOUGH = 0.03
"""How far the share of ends inside may be from what was said before a range is called too narrow or too wide."""


class Class(NamedTuple):
    """What scores are added up by."""

    day: date
    """On which the job ended (UTC)."""
    kind: str
    size: Size
    stage: Stage


@dataclass(frozen=True)
class Said:
    """What was said of a job's end (seconds from then)."""

    likely_s: float | None
    earliest_s: float | None = None
    """None, as `latest_s`: no range was called certain."""
    latest_s: float | None = None
    naive_s: float | None = None
    """What place times mean duration would have said."""
    slow_after_s: float | None = None
    """After how much work it would be called slow; told of jobs that had not begun alone, for those that are found
    running are long ones more often than not."""


@dataclass(frozen=True)
class Came:
    """What was said of a job that ended well, and what came of it (seconds)."""

    said: Said
    passed_s: float
    worked_s: float | None
    """None: part of the time was no work."""


@dataclass
class Tally:
    """Scores added up."""

    scored: int = 0
    ranged: int = 0
    """Of these, with a range that was called certain."""
    early: int = 0
    """Ended before their range."""
    late: int = 0
    bounded: int = 0
    """Of which it was known from when on they would be called slow."""
    slow: int = 0
    """Of these, called slow although they ended well."""
    errors: dict[int, int] = field(default_factory=dict)
    naive_errors: dict[int, int] = field(default_factory=dict)

    def score(self, one: Came) -> None:
        """Add one more end."""
        said = one.said
        self.scored += 1
        if said.earliest_s is not None and said.latest_s is not None:
            self.ranged += 1
            self.early += one.passed_s < said.earliest_s
            self.late += one.passed_s > said.latest_s
        if said.likely_s is not None and said.naive_s is not None:
            _count(self.errors, abs(said.likely_s - one.passed_s))
            _count(self.naive_errors, abs(said.naive_s - one.passed_s))
        if said.slow_after_s is not None and one.worked_s is not None:
            self.bounded += 1
            self.slow += one.worked_s > said.slow_after_s

    def add(self, other: "Tally") -> None:
        """Add what was added up elsewhere."""
        for name in ("scored", "ranged", "early", "late", "bounded", "slow"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for own, others in ((self.errors, other.errors), (self.naive_errors, other.naive_errors)):
            for step, count in others.items():
                own[step] = own.get(step, 0) + count

    @property
    def share_held(self) -> float | None:
        """Which share of the certain ranges held."""
        return (self.ranged - self.early - self.late) / self.ranged if self.ranged else None

    @property
    def share_slow(self) -> float | None:
        """Which share of healthy jobs was called slow."""
        return self.slow / self.bounded if self.bounded else None

    @property
    def verdict(self) -> str:
        """Whether ranges hold as often as they say: `fits`, `too_narrow`, `too_wide`; of few cases `unknown`."""
        held = self.share_held
        if held is None or self.ranged < FEWEST_CASES:
            return "unknown"
        if held < CONFIDENCE - _NEAR_ENOUGH:
            return "too_narrow"
        return "too_wide" if held > CONFIDENCE + _NEAR_ENOUGH else "fits"


def added_up(ends: Iterable[tuple[Class, Came]]) -> dict[Class, Tally]:
    """Add up ends."""
    found: dict[Class, Tally] = {}
    for key, one in ends:
        found.setdefault(key, Tally()).score(one)
    return found


def median(errors: Mapping[int, int]) -> float | None:
    """Give the median of errors that were counted (seconds); None of none."""
    half, passed = sum(errors.values()) / 2, 0
    for step in sorted(errors):
        passed += errors[step]
        if passed >= half:
            return float(10 ** (step / _STEPS))
    return None


def _count(errors: dict[int, int], seconds: float) -> None:
    step = round(_STEPS * log10(max(seconds, SHORTEST_S)))
    errors[step] = errors.get(step, 0) + 1
