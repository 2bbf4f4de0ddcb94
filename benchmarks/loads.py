"""Loads for the simulation: the story, the heavy tail, floods and overloads; the same seed makes the same jobs."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import takewhile
from random import Random

from invoicing.jobs.model import Priority
from invoicing.plan.model.simulation import Work

CHECKPOINT_S = 1.0
FLOOD_AT_S = 10.0
FLOOD_UNTIL_S = 60.0

Size = Callable[[Random], float]


def bounded_pareto(least_s: float, most_s: float, alpha: float) -> Size:
    """Draw sizes of which a few hold most of the work."""
    kept = 1 - (least_s / most_s) ** alpha
    return lambda chance: least_s / (1 - chance.random() * kept) ** (1 / alpha)


def job(
    at_s: float, customer: str, size_s: float, estimated_s: float | None = None, priority: Priority = Priority.NORMAL
) -> Work:
    """Make a job that can stop every second of its work."""
    claimed_s = size_s if estimated_s is None else estimated_s
    return Work(at_s, customer, customer, priority, size_s, claimed_s, int(size_s / CHECKPOINT_S))


def moments(chance: Random, per_s: float, until_s: float) -> Iterator[float]:
    """Give random moments, so many each second."""

    def every() -> Iterator[float]:
        at_s = 0.0
        while True:
            at_s += chance.expovariate(per_s)
            yield at_s

    return takewhile(lambda at_s: at_s < until_s, every())


def story(slots: int, seed: int, *, lies: bool, giant_s: float = 18_000.0, lasts_s: float = 3_600.0) -> list[Work]:
    """As many jobs of five hours as there are slots, then a stream of 0.3 s jobs at a load of a third."""
    chance = Random(seed)
    giants = [job(0.0, f"giant {n}", giant_s, 0.3 if lies else None) for n in range(slots)]
    stream = moments(chance, 0.33 * slots / 0.3, lasts_s)
    return giants + [job(at_s + 5.0, f"small {chance.randrange(20)}", 0.3) for at_s in stream]


def heavy_tail(slots: int, jobs: int, seed: int, *, load: float = 0.7, cannot: float = 0.0) -> list[Work]:
    """W3: sizes from 20 ms to 5 h, each estimate wrong by a sigma of 1, and 2 % of them 1000 times too small.

    `cannot` is the share of the jobs that have no checkpoints; the jobs are the same whatever it is.
    """
    chance, stops = Random(seed), Random(f"{seed} stops")
    draw = bounded_pareto(0.02, 18_000.0, 1.1)
    sizes = [draw(chance) for _ in range(jobs)]
    per_s = load * slots * jobs / sum(sizes)
    at_s, made = 0.0, []
    for size_s in sizes:
        at_s += chance.expovariate(per_s)
        wrong = 0.001 if chance.random() < 0.02 else math.exp(chance.gauss(0.0, 1.0))
        one = job(at_s, f"customer {chance.randrange(100)}", size_s, size_s * wrong)
        if stops.random() < cannot:
            one = Work(one.at_s, one.customer, one.key, one.priority, one.size_s, one.estimated_s, 0)
        made.append(one)
    return made


def day(slots: int, seed: int, lasts_s: float = 86_400.0) -> list[Work]:
    """Draw a day of W3 at a load of 0.7: sizes from 0.2 s to 5 h; three in ten have no checkpoints."""
    chance = Random(seed)
    draw = bounded_pareto(0.2, 18_000.0, 1.1)
    made = []
    for at_s in moments(chance, 0.7 * slots / _mean(draw), lasts_s):
        size_s = draw(chance)
        wrong = 0.001 if chance.random() < 0.02 else math.exp(chance.gauss(0.0, 1.0))
        one = job(at_s, f"customer {chance.randrange(100)}", size_s, size_s * wrong)
        made.append(replace(one, checkpoints=0) if chance.random() < 0.3 else one)
    return made


def flood(seed: int, *, customers: int = 1, keys: int = 1, priority: Priority = Priority.NORMAL) -> list[Work]:
    """Let one submit 50,000 jobs at once (700 s of work) while others keep 40 % of eight slots busy."""
    chance = Random(seed)
    made = []
    for number in range(50_000):
        customer = f"flood {number % customers}"
        size_s = chance.uniform(0.008, 0.02)
        made.append(Work(FLOOD_AT_S, customer, f"{customer}/{number % keys}", priority, size_s, size_s, 0))
    draw = bounded_pareto(0.02, 30.0, 1.3)
    stream = moments(chance, 0.4 * 8 / _mean(draw), FLOOD_UNTIL_S)
    return made + [job(at_s, f"other {chance.randrange(50)}", draw(chance)) for at_s in stream]


def urgent_overload(seed: int, *, slots: int, lasts_s: float, bulk: float) -> list[Work]:
    """Keep calling for a fifth more urgent work than there is capacity, and for a share of it in bulk; 10 customers."""
    chance = Random(seed)
    urgent = moments(chance, 1.2 * slots / 0.5, lasts_s)
    made = [job(at_s, f"customer {chance.randrange(10)}", 0.5, priority=Priority.URGENT) for at_s in urgent]
    late = moments(chance, bulk * slots / 0.5, lasts_s)
    return made + [job(at_s, f"customer {chance.randrange(10)}", 0.5, priority=Priority.BULK) for at_s in late]


def burst(seed: int, *, slots: int) -> list[Work]:
    """Ask for 60 % of the capacity, and for 140 % during ten minutes; a tenth urgent, a third bulk; 50 customers."""
    chance = Random(seed)
    draw = bounded_pareto(0.05, 60.0, 1.2)
    per_s = 1.4 * slots / _mean(draw)
    made = []
    for at_s in moments(chance, per_s, 1_800.0):
        if not 300.0 <= at_s < 900.0 and chance.random() > 0.6 / 1.4:
            continue
        priority = chance.choices((Priority.URGENT, Priority.NORMAL, Priority.BULK), (10, 57, 33))[0]
        made.append(job(at_s, f"customer {chance.randrange(50)}", draw(chance), priority=priority))
    return made


def _mean(draw: Size) -> float:
    chance = Random(0)
    return sum(draw(chance) for _ in range(100_000)) / 100_000
