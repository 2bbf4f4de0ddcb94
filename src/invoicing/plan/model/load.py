"""A described load: streams of jobs, and the arrivals that a seed makes of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from random import Random

from invoicing.jobs.model import Priority
from invoicing.plan.model.spread import Spread, normal
from invoicing.plan.model.work import Work

HOUR_S = 3600.0


@dataclass(frozen=True)
class Stream:
    """Jobs of one sort that keep coming, at random moments; or `at_once` of them together when it begins."""

    name: str
    kind: str
    size: Spread
    """How long they take (seconds of a slot to itself)."""
    rate_per_hour: float = 0.0
    at_once: int = 0
    priority: Priority = Priority.NORMAL
    customers: int = 1
    """How many customers send them, in equal parts."""
    keys: int = 1
    """Over how many keys each customer spreads them."""
    customer: str = ""
    """What its customers are called, where another stream has the same ones; else the name of the stream."""
    begins_s: float = 0.0
    ends_s: float = math.inf
    error: float = 0.0
    """How wrong the estimates are: standard deviation of the logarithm."""
    claims_s: float | None = None
    """What every job claims to take, whatever it takes."""
    without_checkpoints: float = 0.0
    """Share of the jobs that cannot stop on the way."""
    checkpoint_s: float = 1.0
    """Work between two checkpoints of the others (seconds)."""


@dataclass(frozen=True)
class Load:
    """What is asked of the service in a time."""

    streams: tuple[Stream, ...]
    lasts_s: float = HOUR_S
    workers: tuple[int, ...] = ()
    """Slots of each worker of the fleet that it meets today; empty where nobody said."""

    def offered(self) -> float:
        """Give the work that arrives, on average: slots that it would keep busy."""
        work = 0.0
        for stream in self.streams:
            time = max(0.0, min(stream.ends_s, self.lasts_s) - stream.begins_s)
            work += (stream.at_once + stream.rate_per_hour / HOUR_S * time) * stream.size.mean()
        return work / self.lasts_s


def arrivals(load: Load, seed: int, most: int) -> tuple[list[Work], bool]:
    """Make the jobs of a load, the earliest first, at most so many of each stream; tells whether all were made.

    The same seed makes the same jobs, and a stream's jobs do not depend on the other streams.
    """
    made: list[Work] = []
    whole = True
    for stream in load.streams:
        jobs = list(islice(_jobs(stream, load.lasts_s, seed), most + 1))
        whole = whole and len(jobs) <= most
        made += jobs[:most]
    return sorted(made, key=lambda job: job.at_s), whole


def _jobs(stream: Stream, lasts_s: float, seed: int) -> Iterator[Work]:
    """One generator for each purpose, so that a higher rate makes more jobs and not other ones."""
    sizes, errors, owners, stops = (Random(f"{seed} {stream.name} {what}") for what in ("size", "error", "of", "stop"))  # noqa: S311 - a simulation that can be repeated
    for number, at_s in enumerate(_moments(stream, lasts_s, seed)):
        size_s = stream.size.draw(sizes)
        estimated_s = size_s * math.exp(stream.error * normal(errors))
        customer = f"{stream.customer or stream.name} {int(owners.random() * stream.customers) + 1}"
        can_stop = stops.random() >= stream.without_checkpoints
        yield Work(
            at_s=at_s,
            customer=customer,
            key=f"{customer}/{number % stream.keys + 1}",
            priority=stream.priority,
            size_s=size_s,
            estimated_s=estimated_s if stream.claims_s is None else stream.claims_s,
            checkpoints=int(size_s / stream.checkpoint_s) if can_stop else 0,
            kind=stream.kind,
        )


def _moments(stream: Stream, lasts_s: float, seed: int) -> Iterator[float]:
    """Give when they come: those at once, then at exponential distances."""
    for _ in range(stream.at_once):
        yield stream.begins_s
    gaps = Random(f"{seed} {stream.name} gap")  # noqa: S311 - a simulation that can be repeated
    end_s = min(stream.ends_s, lasts_s)
    at_s = stream.begins_s
    while stream.rate_per_hour:
        at_s += -math.log(1 - gaps.random()) * HOUR_S / stream.rate_per_hour
        if at_s >= end_s:
            return
        yield at_s
