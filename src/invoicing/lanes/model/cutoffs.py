"""Where one size class ends and the next begins: learned from the load, slowly and within bounds. Seconds everywhere.

Each class should carry a comparable part of the work (the rule that size-interval assignment goes by), which is what a
cut-off at each quarter of the work gives. What is unsure is decided downwards: simulated, cutting too high costs small
jobs ten times what cutting too low costs anybody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, floor, log, log2

from invoicing.lanes.model.policy import Cutoffs

LOWEST, HIGHEST = 1 / 3, 1.5
"""How far a cut-off may move from where the policy puts it: further down than up."""

FASTEST_PER_HOUR = 0.10
"""A cut-off moves by at most this share of itself in an hour."""

FEWEST_JOBS = 200.0
"""With less to go by, cut-offs return to where the policy puts them."""

_HALF_LIFE_S = 86_400.0
_STEPS_PER_OCTAVE = 2
_SHORTEST_S = 0.001


@dataclass(frozen=True)
class Load:
    """The work of finished jobs, by their length; yesterday's counts half."""

    jobs: float = 0.0
    work_s: Mapping[int, float] = field(default_factory=dict)
    """By power of the square root of two: seconds of work of the jobs that took at least so many seconds."""
    at: float = 0.0
    """Seconds since the epoch."""


def added(load: Load, worked: Iterable[tuple[float, float]], at: float) -> Load:
    """Add jobs that ended by now: (seconds that one took, how many such jobs it stands for)."""
    keep = 0.5 ** (max(0.0, at - load.at) / _HALF_LIFE_S)
    jobs, work = load.jobs * keep, {step: seconds * keep for step, seconds in load.work_s.items()}
    for seconds, count in worked:
        step = floor(_STEPS_PER_OCTAVE * log2(max(_SHORTEST_S, seconds)))
        work[step] = work.get(step, 0.0) + seconds * count
        jobs += count
    return Load(jobs, work, max(at, load.at))


def wanted(load: Load, defaults: Cutoffs) -> Cutoffs:
    """Give the cut-offs that let every class carry a quarter of the work, as far as the bounds allow."""
    if load.jobs < FEWEST_JOBS:
        return defaults
    return Cutoffs(
        _bounded(_quantile(load, 0.25), defaults.small_s),
        _bounded(_quantile(load, 0.50), defaults.medium_s),
        _bounded(_quantile(load, 0.75), defaults.large_s),
    )


def moved(present: Cutoffs, target: Cutoffs, elapsed_s: float) -> Cutoffs:
    """Move cut-offs toward others, by what the time since the last move allows (an hour's worth at most)."""
    most = log(1 + FASTEST_PER_HOUR) * min(1.0, max(0.0, elapsed_s) / 3600)
    return Cutoffs(
        _toward(present.small_s, target.small_s, most),
        _toward(present.medium_s, target.medium_s, most),
        _toward(present.large_s, target.large_s, most),
    )


def _quantile(load: Load, share: float) -> float:
    """Give the length below which this share of the work lies, rounded down to a step."""
    left = share * sum(load.work_s.values())
    for step in sorted(load.work_s):
        left -= load.work_s[step]
        if left <= 0:
            return float(2.0 ** (step / _STEPS_PER_OCTAVE))
    return _SHORTEST_S


def _bounded(cutoff: float, default: float) -> float:
    return min(default * HIGHEST, max(default * LOWEST, cutoff))


def _toward(present: float, target: float, most: float) -> float:
    way = log(target / present)
    return target if abs(way) <= most else present * exp(most if way > 0 else -most)
