"""A kind's fit of log(duration) on log(predicted), made from sums, so that a job more or less costs no second pass."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import log, sqrt

Point = tuple[float, float]
"""log(predicted), log(duration)."""

PRIOR_WEIGHT = 8.0
"""How many jobs the pooled spread counts for against a kind's own."""
_SLOPE_WEIGHT = 5.0
"""How strongly the slope is held at 1 (twice the prediction, twice the time) until the sizes seen say otherwise."""

SHORTEST_S, _LONGEST_S = 0.001, 1e9


@dataclass(frozen=True)
class Sums:
    """What a fit needs to know of points."""

    count: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def plus(self, points: Iterable[Point]) -> "Sums":
        """Add points."""
        count, sx, sy, sxx, sxy, syy = self.count, self.x, self.y, self.xx, self.xy, self.yy
        for x, y in points:
            count, sx, sy = count + 1, sx + x, sy + y
            sxx, sxy, syy = sxx + x * x, sxy + x * y, syy + y * y
        return Sums(count, sx, sy, sxx, sxy, syy)


@dataclass(frozen=True)
class Line:
    """A fit, and how sure it is."""

    slope: float
    at_mean: float
    mean_log: float
    count: int
    squares: float
    residuals: float
    """Sum of the squares of what the line does not explain."""
    ended: int
    """How many of the jobs it rests on have ended: a job that goes on tells less of the spread."""

    def median_log(self, x: float) -> float:
        """Give the middle of log(duration)."""
        return self.at_mean + self.slope * (x - self.mean_log)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of Student's t."""
        return PRIOR_WEIGHT + self.ended - 1

    def variance(self, pooled: float, weight: float = PRIOR_WEIGHT) -> float:
        """Give the variance about the line, shrunk toward that of all kinds."""
        return (weight * pooled + self.residuals) / (weight + self.count - 1)

    def scale_at(self, x: float, pooled: float, weight: float = PRIOR_WEIGHT) -> float:
        """Give the spread of a further job: wider for a mean of few jobs, and away from the sizes seen."""
        distance = (x - self.mean_log) ** 2 / (self.squares + _SLOPE_WEIGHT)
        return sqrt(self.variance(pooled, weight) * (1 + 1 / self.count + distance))


def fit(sums: Sums, ended: int | None = None, unknown: float = 0.0) -> Line:
    """Fit a line; `unknown` is the variance in points that were guessed, added up."""
    count = sums.count
    mean_x, mean_y = sums.x / count, sums.y / count
    squares = max(0.0, sums.xx - count * mean_x**2)
    products, spread = sums.xy - count * mean_x * mean_y, sums.yy - count * mean_y**2
    slope = 1 + (products - squares) / (squares + _SLOPE_WEIGHT)
    residuals = max(0.0, spread - 2 * slope * products + slope**2 * squares)
    return Line(slope, mean_y, mean_x, count, squares, residuals + unknown, count if ended is None else ended)


def log_s(seconds: float) -> float:
    """Give the logarithm of seconds, within bounds."""
    return log(min(max(seconds, SHORTEST_S), _LONGEST_S))
