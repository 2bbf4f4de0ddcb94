"""How much work a job really is: what its kind estimates, corrected by what finished jobs took. Seconds everywhere.

A kind's correction is a line of log(actual / estimated) on log(estimated), from sums that forget slowly. A customer's
own deviation from that line is the median of its last jobs, so that one strange job moves nothing and a handful of
them everything. Customers have about one vote each in the height of the line: a flood from one does not set it for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt

SHORTEST_S, LONGEST_S = 0.001, 1e9

HONEST_VOTES = 10.0
"""Customers' votes that the assumption "estimates are right" counts for in the height of a kind's line."""

HONEST_SLOPE = 5.0
"""Sum of squares of log(estimated) that "twice the estimate, twice the time" counts for."""

HONEST_JOBS = 2
"""Jobs as estimated that every customer is credited with: it takes as many lies and one more to be taken for a liar."""

FIRST_SPREAD, FIRST_JOBS = 1.0, 3.0
"""Spread of log(actual / estimated) before anything is known, and the number of jobs that this counts for."""

LAST_JOBS = 9
"""A customer's jobs that its own deviation is the median of: lies are learned, and forgotten, within a handful."""

FURTHEST = 2.5
"""Spreads beyond which a job counts as if it lay there: one strange job in a thousand moves no line."""

_NARROWEST = 0.2
"""What counts as far is at least this much (log), however well a kind has estimated so far."""

_JOBS_REMEMBERED, _VOTES_REMEMBERED = 1_000.0, 200.0
_VOTES_HALVE_S, _VOTE_BACK_S = 14 * 86_400.0, 7 * 86_400.0
"""Half-life of votes, and of what a customer has used of its own: old customers may tell that their kind has changed.
"""

_MOST = log(10_000.0)
"""No estimate is corrected by more (log)."""

_MEDIAN_ERROR = 1.25
"""Standard error of a median, in that of a mean (normal law)."""

_NORMAL_95 = 1.645


@dataclass(frozen=True)
class Seen:
    """A job as the correction sees it: log(estimated), and log(actual / estimated)."""

    x: float
    off: float

    @classmethod
    def of(cls, estimated_s: float, worked_s: float) -> "Seen":
        """Place a job."""
        x = log(_bounded(estimated_s))
        return cls(round(x, 4), round(log(_bounded(worked_s)) - x, 4))


@dataclass(frozen=True)
class KindModel:
    """What was learned about the estimates of a kind: sums over its jobs, the older ones counting less.

    The sums of the slope are free of what customers deviate by; those of the height count customers' votes.
    """

    jobs: int = 0
    weight: float = 0.0
    x: float = 0.0
    off: float = 0.0
    xx: float = 0.0
    x_off: float = 0.0
    squares: float = 0.0
    """Of what the line and the customer's deviation together did not foresee."""
    votes: float = 0.0
    voted_x: float = 0.0
    voted_off: float = 0.0
    at: float = 0.0
    """When the last vote was cast (seconds since the epoch)."""

    @property
    def slope(self) -> float:
        """Change of log(actual / estimated) with log(estimated): 0 where twice the estimate takes twice the time."""
        if not self.weight:
            return 0.0
        spread_x = self.xx - self.x**2 / self.weight
        together = self.x_off - self.x * self.off / self.weight
        return min(1.0, max(-1.0, together / (max(0.0, spread_x) + HONEST_SLOPE)))

    @property
    def spread(self) -> float:
        """Standard deviation of log(actual / predicted)."""
        return sqrt((FIRST_JOBS * FIRST_SPREAD**2 + self.squares) / (FIRST_JOBS + self.weight))

    @property
    def usual_x(self) -> float:
        """The mean of log(estimated)."""
        return self.x / self.weight if self.weight else 0.0

    def line(self) -> "Line":
        """Draw the line; beyond the sizes seen it goes on level."""
        if not self.votes:
            return Line()
        usual, slope = self.usual_x, self.slope
        reach = 1.0 + 2.0 * sqrt(max(0.0, self.xx / self.weight - usual**2))
        height = self.voted_off / (self.votes + HONEST_VOTES) - slope * self.voted_x / self.votes
        return Line(height, slope, usual - reach, usual + reach)

    def height(self, x: float) -> float:
        """Give log(actual / estimated) to be expected of anybody's job."""
        return self.line().at(x)


@dataclass(frozen=True)
class Line:
    """What to expect of anybody's job of a kind: log(actual / estimated) by log(estimated)."""

    height: float = 0.0
    slope: float = 0.0
    first_x: float = 0.0
    last_x: float = 0.0

    def at(self, x: float) -> float:
        """Read it at a size."""
        return self.height + self.slope * min(max(x, self.first_x), self.last_x)


@dataclass(frozen=True)
class CustomerModel:
    """What was learned about one customer's jobs of one kind."""

    jobs: int = 0
    last: tuple[Seen, ...] = ()
    voted: float = 0.0
    """Jobs with which it has voted already, the older ones counting less."""
    at: float = 0.0
    """When that was (seconds since the epoch)."""


@dataclass(frozen=True)
class Predicted:
    """What a job should take (`p05_s` to `p95_s` hold nine of ten), and how many jobs that was learned from."""

    seconds: float
    p05_s: float
    p95_s: float
    jobs: int
    own_jobs: int


NOTHING, NOBODY = KindModel(), CustomerModel()


def deviation(kind: KindModel, customer: CustomerModel, overdue: Sequence[Seen] = ()) -> float:
    """By how much (log) a customer's jobs take longer than anybody's; 0 where chance alone explains it.

    `overdue` are jobs that still run, with the time that they took so far: what is known to be too little counts where
    it is more than was expected all the same, and never makes less of it (the median of more jobs can be lower).
    """
    line = kind.line()
    seen = [one.off - line.at(one.x) for one in customer.last]
    found = _middle(kind, seen)
    late = [left for one in overdue if (left := one.off - line.at(one.x)) > found]
    return max(found, _middle(kind, seen + late)) if late else found


def factor(kind: KindModel, customer: CustomerModel, estimated_s: float, overdue: Sequence[Seen] = ()) -> float:
    """Give actual / estimated as it is to be expected of a customer's job; 1 while nothing is known."""
    return factor_at(kind.line(), deviation(kind, customer, overdue), estimated_s)


def factor_at(line: Line, deviating: float, estimated_s: float) -> float:
    """Give the factor where the kind's line and the customer's deviation from it are known already."""
    return exp(_within(line.at(log(_bounded(estimated_s))) + deviating, _MOST))


def predict(kind: KindModel, customer: CustomerModel, estimated_s: float, overdue: Sequence[Seen] = ()) -> Predicted:
    """Correct an estimate (median and a range of nine in ten)."""
    seconds = estimated_s * factor(kind, customer, estimated_s, overdue)
    count = len(customer.last) + HONEST_JOBS
    unsure = 1.0 / (kind.votes + HONEST_VOTES) + _MEDIAN_ERROR**2 / count
    wide = exp(_NORMAL_95 * kind.spread * sqrt(1.0 + unsure))
    return Predicted(seconds, seconds / wide, seconds * wide, kind.jobs, customer.jobs)


def learn(kind: KindModel, customer: CustomerModel, seen: Seen, at: float) -> tuple[KindModel, CustomerModel]:
    """Learn from a job that ended at a time (seconds since the epoch)."""
    expected, own = kind.height(seen.x), deviation(kind, customer)
    far = FURTHEST * max(kind.spread, _NARROWEST)
    surprise = _within(seen.off - expected - own, far)
    used = customer.voted * _halved(at - customer.at, _VOTE_BACK_S)
    line = _shaped(kind, seen.x, expected + surprise, surprise)
    return (
        _raised(line, seen.x, expected + _within(seen.off - expected, far), 1.0 / (1.0 + used), at),
        CustomerModel(customer.jobs + 1, (*customer.last, seen)[-LAST_JOBS:], used + 1.0, max(at, customer.at)),
    )


def _shaped(kind: KindModel, x: float, off: float, surprise: float) -> KindModel:
    """Add a job to the sums of slope and spread."""
    keep = 1.0 - 1.0 / _JOBS_REMEMBERED
    return replace(
        kind,
        jobs=kind.jobs + 1,
        weight=kind.weight * keep + 1.0,
        x=kind.x * keep + x,
        off=kind.off * keep + off,
        xx=kind.xx * keep + x * x,
        x_off=kind.x_off * keep + x * off,
        squares=kind.squares * keep + surprise * surprise,
    )


def _raised(kind: KindModel, x: float, off: float, vote: float, at: float) -> KindModel:
    """Add a vote to the sums of the height."""
    keep = (1.0 - vote / _VOTES_REMEMBERED) * _halved(at - kind.at, _VOTES_HALVE_S)
    return replace(
        kind,
        votes=kind.votes * keep + vote,
        voted_x=kind.voted_x * keep + vote * x,
        voted_off=kind.voted_off * keep + vote * off,
        at=max(at, kind.at),
    )


def _middle(kind: KindModel, offs: Sequence[float]) -> float:
    """Take the median together with the honest jobs credited, less the part that chance explains (James and Stein)."""
    if not offs:
        return 0.0
    found = _median([*offs, *([0.0] * HONEST_JOBS)])
    error = _MEDIAN_ERROR * kind.spread / sqrt(len(offs) + HONEST_JOBS)
    return found * max(0.0, 1.0 - (error / found) ** 2) if found else 0.0


def _median(values: list[float]) -> float:
    values.sort()
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def _halved(elapsed_s: float, half_life_s: float) -> float:
    return float(0.5 ** (max(0.0, elapsed_s) / half_life_s))


def _bounded(seconds: float) -> float:
    return min(LONGEST_S, max(SHORTEST_S, seconds))


def _within(value: float, far: float) -> float:
    return min(far, max(-far, value))
