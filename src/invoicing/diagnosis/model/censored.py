"""Jobs that run, as far as they tell how long such jobs take: at least so long as they have been worked on.

While many run, those that have ended are the quick ones. A running job that outran the middle is put where it should
end by what is known, and what is known is learned again with it, until both agree (expectation and maximisation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from uuid import UUID

from invoicing.diagnosis.model.lines import Line, Point, Sums, fit, log_s

_STEPS = 8
"""By then the middle moves by less than a hundredth."""
_FAR = 6.0
"""Beyond so many spreads a normal tail is what its first terms say."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Running:
    """A job that runs, and the seconds that it has been worked on."""

    job_id: UUID
    kind: str
    predicted_s: float
    worked_s: float

    @property
    def point(self) -> Point:
        """Its end lies above this point."""
        return log_s(self.predicted_s), log_s(self.worked_s)


def beyond(line: Line, running: Sequence[Running]) -> tuple[Running, ...]:
    """List those that outran the middle; what has only just begun says nothing."""
    return tuple(one for one in running if one.point[1] > line.median_log(one.point[0]))


def fit_with(ended: Sums, running: Sequence[Running], pooled: float) -> Line:
    """Fit a line to jobs that have ended and to running ones."""
    line = fit(ended)
    for _ in range(_STEPS if running else 0):
        spread = sqrt(line.variance(pooled))
        guessed = [_guessed(one.point, line, spread) for one in running]
        points = ((one.point[0], y) for one, (y, _) in zip(running, guessed, strict=True))
        line = fit(ended.plus(points), ended.count, sum(unknown for _, unknown in guessed))
    return line


def _guessed(point: Point, line: Line, spread: float) -> tuple[float, float]:
    """Give the mean of log(duration) of a job that took so long already, and the variance about it."""
    x, so_far = point
    middle = line.median_log(x)
    z = (so_far - middle) / max(spread, 1e-9)
    hazard = _NORMAL.pdf(z) / (1 - _NORMAL.cdf(z)) if z < _FAR else z + 1 / z
    return middle + spread * hazard, spread**2 * max(0.0, 1 + z * hazard - hazard**2)
