"""How long jobs take: learned per kind from finished ones, as log(duration) on log(predicted), with its spread.

The spread is shrunk toward that of all kinds together, so that three lucky jobs do not make a narrow range.
Seconds everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil, exp, floor, log, log10, sqrt
from statistics import NormalDist, fmean, stdev

from invoicing.jobs.model import Size
from invoicing.lanes.model import POLICY

FEWEST = 3
"""With fewer similar jobs nothing is said about what is normal."""

RANKED_FROM = 99
"""From so many similar jobs on, the 99 % bound is an order statistic and needs no model."""

_FAR = 0.9
"""Beyond this share, durations have heavier tails than the model: there, what was seen of all kinds bounds it too, at
half the risk, since a few jobs of a kind may show too small a spread of its own."""

_SHORTEST_S, _LONGEST_S = 0.001, 1e9
_PRIOR_WEIGHT = 8.0
"""How many jobs the pooled spread counts for against a kind's own."""
_TAIL_WEIGHT = 40.0
"""The same for the far end: where one job in twenty meets a cold cache, a few dozen may all have been lucky."""
_PRIOR_SPREAD = 1.0
"""Spread of log(actual / predicted) assumed before anything is known (the simulation's estimates had 1)."""
_SLOPE_WEIGHT = 5.0
"""How strongly the slope is held at 1 (twice the prediction, twice the time) until the sizes seen say otherwise."""

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Group:
    """The last finished jobs of a kind whose predicted seconds share a power of ten."""

    kind: str
    magnitude: int
    predicted: tuple[float, ...]
    durations: tuple[float, ...]


@dataclass(frozen=True)
class Prediction:
    """How long a job should take: Student's t on log(seconds), or the ranked errors of many similar jobs."""

    median_log: float
    scale: float
    freedom: float
    ranked: tuple[float, ...] = ()
    tail: tuple[float, ...] = ()
    """Errors of all kinds in units of their scales, ascending: the far end is no nearer than it was for them."""
    tail_scale: float = 0.0
    """What one of these units is here."""

    @property
    def spread(self) -> float:
        """The standard deviation of log(seconds)."""
        return self.scale * sqrt(self.freedom / (self.freedom - 2))

    def quantile(self, share: float) -> float:
        """Give the seconds within which this share of such jobs end."""
        if self.ranked:
            return exp(self.median_log + _ranked(self.ranked, share))
        far = student(share, self.freedom)
        end = self.scale * far
        if self.tail and share > _FAR:
            end = max(end, self.tail_scale * _ranked(self.tail, (1 + share) / 2))
        return exp(self.median_log + end)

    def remaining(self, share: float, worked_s: float) -> float:
        """Give the further seconds within which this share of those jobs end that have run this long already."""
        if worked_s <= 0:
            return self.quantile(share)
        law = NormalDist(self.median_log, self.spread)
        passed = law.cdf(log(worked_s))
        left = min(passed + share * (1 - passed), 1 - 1e-9)
        return max(0.0, exp(law.inv_cdf(left)) - worked_s) if left > 0 else 0.0


@dataclass(frozen=True)
class Ratio:
    """Actual to predicted work of one size class: of the sums, and the relative spread of a single job."""

    mean: float
    spread: float


@dataclass(frozen=True)
class _Line:
    """A kind's fit of log(duration) on log(predicted)."""

    slope: float
    at_mean: float
    mean_log: float
    count: int
    squares: float
    residuals: float
    """Sum of the squares of what the line does not explain."""

    def median_log(self, x: float) -> float:
        return self.at_mean + self.slope * (x - self.mean_log)

    @property
    def freedom(self) -> float:
        return _PRIOR_WEIGHT + self.count - 1

    def scale_at(self, x: float, pooled: float, weight: float = _PRIOR_WEIGHT) -> float:
        """Shrunk toward the pooled variance; wider for a mean of few jobs, and away from the sizes seen."""
        variance = (weight * pooled + self.residuals) / (weight + self.count - 1)
        distance = (x - self.mean_log) ** 2 / (self.squares + _SLOPE_WEIGHT)
        return sqrt(variance * (1 + 1 / self.count + distance))


@dataclass(frozen=True)
class History:
    """What was learned from finished jobs, and when."""

    observed_at: datetime | None
    groups: Mapping[tuple[str, int], Group]
    lines: Mapping[str, _Line]
    pooled: float
    """Variance of log(duration) about the lines of all kinds."""
    ranked: Mapping[tuple[str, int], tuple[float, ...]]
    """Errors of log(duration), ascending, of the groups with enough jobs for an order statistic."""
    ratios: Mapping[Size, Ratio]
    tail: tuple[float, ...] = ()
    """Errors of all kinds in units of their scales, ascending."""

    def similar(self, kind: str, predicted_s: float) -> int:
        """How many finished jobs of the kind, predicted within the same power of ten, are known."""
        group = self.groups.get((kind, magnitude(predicted_s)))
        return len(group.durations) if group else 0

    def mean_s(self, kind: str) -> float | None:
        """Give the mean seconds of the kind's finished jobs that are known."""
        known = [seconds for group in self.groups.values() if group.kind == kind for seconds in group.durations]
        return fmean(known) if known else None

    def predict(self, kind: str, predicted_s: float) -> Prediction | None:
        """Say how long a job should take; None with fewer than three similar ones."""
        group = self.groups.get((kind, magnitude(predicted_s)))
        if group is None or len(group.durations) < FEWEST:
            return None
        line, x = self.lines[kind], _log(predicted_s)
        ranked = self.ranked.get((kind, group.magnitude), ())
        scale = line.scale_at(x, self.pooled)
        far = max(scale, line.scale_at(x, self.pooled, _TAIL_WEIGHT))
        return Prediction(line.median_log(x), scale, line.freedom, ranked, self.tail, far)


def learn(groups: Iterable[Group], observed_at: datetime | None) -> History:
    """Fit every kind, each with its spread shrunk toward that of all kinds."""
    known = {(group.kind, group.magnitude): group for group in groups if group.durations}
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for group in known.values():
        by_kind.setdefault(group.kind, []).extend((_log(p), _log(d)) for p, d in _pairs(group))
    lines = {kind: _fit(points) for kind, points in by_kind.items()}
    squares = _PRIOR_WEIGHT * _PRIOR_SPREAD**2 + sum(line.residuals for line in lines.values())
    pooled = squares / (_PRIOR_WEIGHT + sum(line.count - 1 for line in lines.values()))
    ranked = {
        key: _errors(group, lines[group.kind]) for key, group in known.items() if len(group.durations) >= RANKED_FROM
    }
    scales = {kind: line.scale_at(line.mean_log, pooled) for kind, line in lines.items()}
    tail = sorted(error / scales[group.kind] for group in known.values() for error in _errors(group, lines[group.kind]))
    return History(observed_at, known, lines, pooled, ranked, _ratios(known.values()), tuple(tail))


def magnitude(predicted_s: float) -> int:
    """Give the power of ten that predicted seconds belong to; nothing is below a millisecond."""
    return floor(log10(max(predicted_s, _SHORTEST_S)))


def _ranked(ascending: Sequence[float], share: float) -> float:
    rank = min(len(ascending), ceil((len(ascending) + 1) * share))
    return ascending[rank - 1]


def student(share: float, freedom: float) -> float:
    """Quantile of Student's t by its expansion about the normal one (Abramowitz and Stegun 26.7.5)."""
    z = _NORMAL.inv_cdf(share)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _fit(points: Sequence[tuple[float, float]]) -> _Line:
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    squares = sum((x - mean_x) ** 2 for x, _ in points)
    excess = sum((x - mean_x) * (y - mean_y - x + mean_x) for x, y in points)
    slope = 1 + excess / (squares + _SLOPE_WEIGHT)
    residuals = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in points)
    return _Line(slope, mean_y, mean_x, count, squares, residuals)


def _errors(group: Group, line: _Line) -> tuple[float, ...]:
    return tuple(sorted(_log(d) - line.median_log(_log(p)) for p, d in _pairs(group)))


def _ratios(groups: Iterable[Group]) -> Mapping[Size, Ratio]:
    """Weigh predictions of each size class; a class with too few finished jobs borrows those of all."""
    samples = [pair for group in groups for pair in _pairs(group)]
    if len(samples) < FEWEST:
        return {}
    by_size = {size: [pair for pair in samples if POLICY.cutoffs.classify(pair[0]) is size] for size in Size}
    return {size: _ratio(own if len(own) >= FEWEST else samples) for size, own in by_size.items()}


def _ratio(samples: Sequence[tuple[float, float]]) -> Ratio:
    single = [d / max(p, _SHORTEST_S) for p, d in samples]
    mean = sum(d for _, d in samples) / max(sum(p for p, _ in samples), _SHORTEST_S)
    return Ratio(mean, stdev(single) / max(fmean(single), 1e-9))


def _pairs(group: Group) -> Iterable[tuple[float, float]]:
    return zip(group.predicted, group.durations, strict=True)


def _log(seconds: float) -> float:
    return log(min(max(seconds, _SHORTEST_S), _LONGEST_S))
