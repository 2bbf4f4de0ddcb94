"""How long jobs take: learned per kind from finished ones, as log(duration) on log(predicted), with its spread.

The spread is shrunk toward that of all kinds together, so that three lucky jobs do not make a narrow range. What is
normal is what ended; when a job should end is expected from running ones, too. Seconds everywhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil, exp, floor, log, log10, sqrt
from statistics import NormalDist, fmean, stdev
from uuid import UUID

from invoicing.diagnosis.model.censored import Running, beyond, fit_with
from invoicing.diagnosis.model.lines import PRIOR_WEIGHT, SHORTEST_S, Line, Sums, fit, log_s
from invoicing.jobs.model import Size
from invoicing.lanes.model import POLICY

FEWEST = 3
"""With fewer similar jobs nothing is said about what is normal."""

MOST_SIMILAR = 200
"""Finished jobs of a kind and magnitude that are learned from: enough for an order statistic of 99 %, quickly read."""

RANKED_FROM = 99
"""From so many similar jobs on, the 99 % bound is an order statistic and needs no model."""

_FAR = 0.9
"""Beyond this share, durations have heavier tails than the model: there, what was seen of all kinds bounds it too, at
half the risk, since a few jobs of a kind may show too small a spread of its own."""

_TAIL_WEIGHT = 40.0
"""The same for the far end: where one job in twenty meets a cold cache, a few dozen may all have been lucky."""
_FEW = 64
"""Of more running jobs none makes a difference to its own range that would be worth a fit without it."""
_PRIOR_SPREAD = 1.0
"""Spread of log(actual / predicted) assumed before anything is known (the simulation's estimates had 1)."""

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
class History:
    """What was learned from finished jobs, and when."""

    observed_at: datetime | None
    groups: Mapping[tuple[str, int], Group]
    lines: Mapping[str, Line]
    pooled: float
    """Variance of log(duration) about the lines of all kinds."""
    ranked: Mapping[tuple[str, int], tuple[float, ...]]
    """Errors of log(duration), ascending, of the groups with enough jobs for an order statistic."""
    ratios: Mapping[Size, Ratio]
    tail: tuple[float, ...] = ()
    """Errors of all kinds in units of their scales, ascending."""
    sums: Mapping[str, Sums] = field(default_factory=dict)
    running: Mapping[str, Mapping[UUID, Running]] = field(default_factory=dict)
    """Jobs that have outrun the middle of their kind."""
    expected: Mapping[str, Line] = field(default_factory=dict)
    """The lines of these kinds with them."""

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
        line, x = self.lines[kind], log_s(predicted_s)
        ranked = self.ranked.get((kind, group.magnitude), ())
        scale = line.scale_at(x, self.pooled)
        far = max(scale, line.scale_at(x, self.pooled, _TAIL_WEIGHT))
        return Prediction(line.median_log(x), scale, line.freedom, ranked, self.tail, far)

    def expect(self, kind: str, predicted_s: float, job_id: UUID) -> Prediction | None:
        """Say how long a job should take by those that have ended and those that run; itself is left out of it.

        Not what is normal: many that hang together would make that of each other.
        """
        known, line = self.predict(kind, predicted_s), self._line_beside(kind, job_id)
        if known is None or line is None:
            return known
        x = log_s(predicted_s)
        scale, far = line.scale_at(x, self.pooled), line.scale_at(x, self.pooled, _TAIL_WEIGHT)
        return Prediction(line.median_log(x), scale, line.freedom, (), self.tail, max(scale, far))

    def _line_beside(self, kind: str, job_id: UUID) -> Line | None:
        running = self.running.get(kind, {})
        if job_id not in running or len(running) > _FEW:
            return self.expected.get(kind)
        others = [one for one in running.values() if one.job_id != job_id]
        return fit_with(self.sums[kind], others, self.pooled) if others else None


def with_running(history: History, running: Iterable[Running]) -> History:
    """Add what running jobs tell of how long they take: those of which fewer have ended than are looked at.

    Of these every one counts that has begun. Where only the last ones are looked at, the quick and the slow among them
    are as many as they should be, and those that run would be too many.
    """
    by_kind: dict[str, list[Running]] = {}
    for one in running:
        if FEWEST <= history.similar(one.kind, one.predicted_s) < MOST_SIMILAR:
            by_kind.setdefault(one.kind, []).append(one)
    counted = {kind: beyond(history.lines[kind], found) for kind, found in by_kind.items()}
    counted = {kind: found for kind, found in counted.items() if found}
    expected = {kind: fit_with(history.sums[kind], found, history.pooled) for kind, found in counted.items()}
    by_id = {kind: {one.job_id: one for one in found} for kind, found in counted.items()}
    return replace(history, running=by_id, expected=expected)


def learn(groups: Iterable[Group], observed_at: datetime | None) -> History:
    """Fit every kind, each with its spread shrunk toward that of all kinds."""
    known = {(group.kind, group.magnitude): group for group in groups if group.durations}
    by_kind: dict[str, list[tuple[float, float]]] = {}
    for group in known.values():
        by_kind.setdefault(group.kind, []).extend((log_s(p), log_s(d)) for p, d in _pairs(group))
    sums = {kind: Sums().plus(points) for kind, points in by_kind.items()}
    lines = {kind: fit(one) for kind, one in sums.items()}
    squares = PRIOR_WEIGHT * _PRIOR_SPREAD**2 + sum(line.residuals for line in lines.values())
    pooled = squares / (PRIOR_WEIGHT + sum(line.count - 1 for line in lines.values()))
    ranked = {
        key: _errors(group, lines[group.kind]) for key, group in known.items() if len(group.durations) >= RANKED_FROM
    }
    scales = {kind: line.scale_at(line.mean_log, pooled) for kind, line in lines.items()}
    tail = sorted(error / scales[group.kind] for group in known.values() for error in _errors(group, lines[group.kind]))
    return History(observed_at, known, lines, pooled, ranked, _ratios(known.values()), tuple(tail), sums)


def magnitude(predicted_s: float) -> int:
    """Give the power of ten that predicted seconds belong to; nothing is below a millisecond."""
    return floor(log10(max(predicted_s, SHORTEST_S)))


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


def _errors(group: Group, line: Line) -> tuple[float, ...]:
    return tuple(sorted(log_s(d) - line.median_log(log_s(p)) for p, d in _pairs(group)))


def _ratios(groups: Iterable[Group]) -> Mapping[Size, Ratio]:
    """Weigh predictions of each size class; a class with too few finished jobs borrows those of all."""
    samples = [pair for group in groups for pair in _pairs(group)]
    if len(samples) < FEWEST:
        return {}
    by_size = {size: [pair for pair in samples if POLICY.cutoffs.classify(pair[0]) is size] for size in Size}
    return {size: _ratio(own if len(own) >= FEWEST else samples) for size, own in by_size.items()}


def _ratio(samples: Sequence[tuple[float, float]]) -> Ratio:
    single = [d / max(p, SHORTEST_S) for p, d in samples]
    mean = sum(d for _, d in samples) / max(sum(p for p, _ in samples), SHORTEST_S)
    return Ratio(mean, stdev(single) / max(fmean(single), 1e-9))


def _pairs(group: Group) -> Iterable[tuple[float, float]]:
    return zip(group.predicted, group.durations, strict=True)
