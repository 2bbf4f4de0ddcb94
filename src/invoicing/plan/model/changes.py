"""What if: a load changed, its jobs multiplied or made longer, all of it faster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from invoicing.plan.model.work import Work

Chosen = Callable[[Work], bool]

_APART_S = 1800.0
"""A copy of a job arrives within this time of it, so that the course of the day stays."""
_APART_SHARE = 0.05
"""And within this share of the whole time, so that a short load keeps its course too."""


@dataclass(frozen=True)
class Change:
    """A question put to a load, in the words of whoever asks."""

    says: str
    apply: Callable[[Sequence[Work], int], list[Work]]
    """Changes jobs, given a seed."""


def of_kind(kind: str) -> Chosen:
    """Choose the jobs of a kind."""
    return lambda job: job.kind == kind


def longer_than(limit_s: float) -> Chosen:
    """Choose the jobs that take longer."""
    return lambda job: job.size_s > limit_s


def more(chosen: Chosen, factor: float, says: str) -> Change:
    """Ask for so many times as many of the chosen jobs."""
    return Change(says, lambda jobs, seed: _multiplied(jobs, chosen, factor, seed))


def longer(chosen: Chosen, factor: float, says: str) -> Change:
    """Ask for the chosen jobs to take so many times as long (and to be estimated so)."""
    return Change(says, lambda jobs, _seed: [_stretched(job, factor) if chosen(job) else job for job in jobs])


def faster(factor: float, says: str) -> Change:
    """Ask for the same jobs to arrive so many times as fast."""
    return Change(says, lambda jobs, _seed: [replace(job, at_s=job.at_s / factor) for job in jobs])


def changed(jobs: Sequence[Work], changes: Sequence[Change], seed: int) -> list[Work]:
    """Put every question in turn; the jobs come back in the order in which they arrive."""
    found = list(jobs)
    for change in changes:
        found = change.apply(found, seed)
    return sorted(found, key=lambda job: job.at_s)


def redrawn(jobs: Sequence[Work], blocks: int, seed: int) -> list[Work]:
    """Make another history as likely as this one: its time cut into blocks, and as many of them drawn with replacement.

    Jobs of a block stay together, so that bursts stay bursts.
    """
    if not jobs:
        return []
    length = max(job.at_s for job in jobs) / blocks or 1.0
    parts: list[list[Work]] = [[] for _ in range(blocks)]
    for job in jobs:
        parts[min(blocks - 1, int(job.at_s / length))].append(job)
    chance = Random(f"{seed} blocks")  # noqa: S311 - a simulation that can be repeated
    drawn = [int(chance.random() * blocks) for _ in range(blocks)]
    moved = [
        replace(job, at_s=job.at_s + (place - source) * length)
        for place, source in enumerate(drawn)
        for job in parts[source]
    ]
    return sorted(moved, key=lambda job: job.at_s)


def _multiplied(jobs: Sequence[Work], chosen: Chosen, factor: float, seed: int) -> list[Work]:
    """Keep each chosen job `factor` times, a fraction by chance; the copies are moved a little in time."""
    chance = Random(f"{seed} copies")  # noqa: S311 - a simulation that can be repeated
    last_s = max((job.at_s for job in jobs), default=0.0)
    apart_s = min(_APART_S, last_s * _APART_SHARE)
    found: list[Work] = []
    for job in jobs:
        if not chosen(job):
            found.append(job)
            continue
        copies = int(factor) + (chance.random() < factor % 1)
        found += [job] * min(copies, 1)
        for _ in range(copies - 1):
            moved = job.at_s + (2 * chance.random() - 1) * apart_s
            found.append(replace(job, at_s=min(max(moved, 0.0), last_s)))
    return found


def _stretched(job: Work, factor: float) -> Work:
    return replace(
        job,
        size_s=job.size_s * factor,
        estimated_s=job.estimated_s * factor,
        checkpoints=round(job.checkpoints * factor),
    )
