"""When a job is expected to end, and what is normal for it: an interval that was learned, or nothing.

First the end is foreseen: the work ahead under the policy over the slots, then its own; or, once it runs, from its own
progress. Then the range around that point is set by how the last points of its class and stage fared.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, inf, sqrt
from statistics import NormalDist

from invoicing.diagnosis.model.check import Check, Code
from invoicing.diagnosis.model.facts import Facts, RunningWork
from invoicing.diagnosis.model.margins import CONFIDENCE, SHORTEST_S, Margins, Stage
from invoicing.diagnosis.model.running import SLOW_BEYOND
from invoicing.jobs.model import Eta, Normal
from invoicing.lanes.model import SIZES

_LOW, _HIGH = (1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2
_Z = NormalDist().inv_cdf(_HIGH)
_UNKNOWN_SPREAD = 1.0
_UNTIL_A_TIME = frozenset({Code.SCHEDULED, Code.RETRY_BACKOFF, Code.PAUSED, Code.IN_REVIEW, Code.AWAITING_QUOTA})
"""Causes that end at a time which is known beforehand."""
_FARTHEST_S = 366 * 86_400.0
"""Beyond a year nothing is predicted."""


@dataclass(frozen=True)
class _Span:
    """Seconds from now: earliest, likely, latest."""

    low: float
    middle: float
    high: float

    def __add__(self, other: "_Span") -> "_Span":
        return _Span(self.low + other.low, self.middle + other.middle, self.high + other.high)


_NOTHING = _Span(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Foreseen:
    """When a job should end, before that is put right by experience with such points."""

    span: _Span
    stage: Stage | None
    """None: from a time that was set, of which there is no experience."""
    certain: bool
    """Whether the span rests on enough finished jobs alone."""

    @property
    def point_s(self) -> float:
        """The likely end (seconds from now)."""
        return max(self.span.middle, SHORTEST_S)


def expect(facts: Facts, cause: Check) -> Eta | None:
    """Say when the job will end; None where the cause has no foreseeable end, or too little is known.

    The confidence is None where no experience with such points is at hand and the interval rests on counted work ahead
    or on the job's own progress alone.
    """
    foreseen = foresee(facts, cause)
    if foreseen is None:
        return None
    margins = facts.margins.get((facts.lane.size, foreseen.stage)) if foreseen.stage else None
    if margins is None:
        return _eta(facts, foreseen.span, certain=foreseen.certain)
    return _eta(facts, _put_right(foreseen.point_s, margins), certain=True)


def earliest_start(facts: Facts, cause: Check) -> datetime | None:
    """Say before when the job does not start, where its cause ends at a known time; a pause may last longer."""
    until = cause.until if cause.code in _UNTIL_A_TIME else None
    if until is None or until <= facts.now:
        return None
    pause = facts.longest_pause
    return until if pause is None else max(until, pause.until)


def foresee(facts: Facts, cause: Check) -> Foreseen | None:
    """Foresee the end of a job; None where the cause has none, or too little is known."""
    match cause.code:
        case Code.SLOWER_THAN_NORMAL | Code.RUNNING_NORMALLY:
            told, stage = _from_progress(facts), Stage.RUNNING
            span, certain = told or _from_history(facts), told is None
        case Code.STARTING | Code.LANE_SATURATED:
            wait, own = _wait(facts), _from_history(facts)
            span = wait + own if wait and own else None
            certain = wait == _NOTHING
            stage = Stage.STARTING if certain else Stage.WAITING
        case Code.IN_REVIEW if cause.until is None:  # nobody knows when it is decided
            return None
        case code if code in _UNTIL_A_TIME:
            own = _from_history(facts)
            span = _held(facts, cause) + own if own else None
            return Foreseen(span, None, certain=False) if span else None
        case _:
            return None
    return Foreseen(span, stage, certain) if span and span.high <= _FARTHEST_S else None


def _held(facts: Facts, cause: Check) -> _Span:
    """Foresee for how long a job is held whose cause ends at a known time; a review may be decided at once."""
    start = ((earliest_start(facts, cause) or facts.now) - facts.now).total_seconds()
    if cause.code is not Code.IN_REVIEW:
        return _Span(start, start, start)
    paused = (facts.pause.until - facts.now).total_seconds() if facts.pause else 0.0
    return _Span(max(0.0, paused), start, start)


def _put_right(point_s: float, margins: Margins) -> _Span:
    return _Span(point_s * margins.low, point_s * margins.middle, point_s * margins.high)


def normal(facts: Facts) -> Normal:
    """Say how long such jobs take, and where this one stands against it."""
    if facts.prediction is None:
        return Normal(None, None, "unknown", facts.similar)
    slow = facts.worked_s > facts.prediction.quantile(SLOW_BEYOND)
    p50, p90 = facts.prediction.quantile(0.5), facts.prediction.quantile(0.9)
    return Normal(round(p50, 3), round(p90, 3), "slow" if slow else "normal", facts.similar)


def _eta(facts: Facts, span: _Span, *, certain: bool) -> Eta | None:
    low, middle, high = sorted((span.low, span.middle, span.high))
    if not high <= _FARTHEST_S:
        return None
    return Eta(
        _later(facts.now, low),
        _later(facts.now, middle),
        _later(facts.now, high),
        CONFIDENCE if certain else None,
        facts.similar,
    )


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=max(0.0, seconds))


def _from_history(facts: Facts) -> _Span | None:
    """How long the work still takes, from jobs like it that took at least as long as this one so far."""
    prediction = facts.expected
    if prediction is None:
        return None
    low, middle, high = (prediction.remaining(share, facts.worked_s) for share in (_LOW, 0.5, _HIGH))
    return _Span(low, middle, high)


def _from_progress(facts: Facts) -> _Span | None:
    """How long the work still takes at the rate at which it went so far; surer the more of it is done."""
    progress, attempt, reported = facts.job.progress, facts.attempt, facts.job.progressed_at
    if progress is None or attempt is None or reported is None or progress.done <= 0 or progress.total <= 0:
        return None
    share = min(1.0, progress.done / progress.total)
    present = max(0.0, (reported - attempt.started_at).total_seconds())
    spent = attempt.spent_before_s + present
    if spent <= 0 or share <= 0:
        return None
    whole = spent / share
    spread = (facts.prediction.spread if facts.prediction else _UNKNOWN_SPREAD) * (1 - share)
    since = max(0.0, (facts.now - max(reported, attempt.started_at)).total_seconds())
    reach = min(_Z * spread, 50.0)
    low, middle, high = (max(0.0, whole * exp(sign * reach) - spent - since) for sign in (-1, 0, 1))
    return _Span(low, middle, high)


def _wait(facts: Facts) -> _Span | None:
    """How long until a slot is this job's: counted work ahead, weighed by what such work took, over the slots."""
    place = facts.place
    nothing_ahead = place is None or place.count == 0
    if facts.free > 0 and nothing_ahead:
        return _NOTHING
    if facts.slots == 0 or (place is not None and place.at_least):
        return None
    seconds, variance = _waiting_work(facts) or (inf, 0.0)
    busy, slots = _running_work(facts)
    if seconds == inf or busy is None:
        return None
    middle = (seconds + busy) / slots
    turn = None if place is None else place.starts_in_s
    if turn is not None:
        middle = min(middle, turn)
    spread = sqrt(variance) / slots
    return _Span(max(0.0, middle - _Z * spread - busy / slots), middle, middle + _Z * spread + busy / slots)


def _waiting_work(facts: Facts) -> tuple[float, float] | None:
    """Seconds of work that start before this job, and their variance; None where they were not all counted."""
    seconds = variance = 0.0
    for size, (count, work_s) in facts.place.work.items() if facts.place else ():
        ratio = facts.history.ratios.get(size)
        if ratio is None:
            return None
        weighed = work_s * ratio.mean
        seconds += weighed
        variance += (weighed * ratio.spread) ** 2 / count
    return seconds, variance


def _running_work(facts: Facts) -> tuple[float | None, int]:
    """Seconds that running jobs of this class and smaller ones still hold their slots, and the slots they share.

    Larger ones keep theirs; only where they hold all that this job may use does it wait for them too.
    """
    own = [lane for lane in facts.running if SIZES.index(lane.size) <= SIZES.index(facts.lane.size)]
    larger = sum(len(work) for lane, work in facts.running.items() if lane not in own)
    slots = facts.slots - larger
    counted = own if slots > 0 else list(facts.running)
    total = 0.0
    for lane in counted:
        ratio = facts.history.ratios.get(lane.size)
        if ratio is None and facts.running[lane]:
            return None, 1
        total += sum(_left(facts, work, ratio.mean if ratio else 1.0) for work in facts.running[lane])
    return total, slots if slots > 0 else facts.slots


def _left(facts: Facts, work: RunningWork, weight: float) -> float:
    """Guess what a running job still needs: one that outran its prediction may go on for half as long again."""
    worked = max(0.0, (facts.now - work.started_at).total_seconds())
    return max(work.predicted_s * weight - worked, worked / 2)
