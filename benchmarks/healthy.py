"""Healthy work of several sorts, and how often the service would call it slower than normal."""

from collections.abc import Callable, Mapping
from math import exp, log
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from invoicing.diagnosis.model.durations import Group, History, learn
from invoicing.diagnosis.model.running import SLOW_BEYOND

Law = Callable[[Random], float]
"""Draws by which factor a job takes longer than usual."""

PER_ROUND = 5
_BESIDE = 40
"""Finished jobs of each of two other kinds."""


class Taken(NamedTuple):
    """A job: the seconds that were predicted, and those that it takes."""

    predicted_s: float
    took_s: float


def _log_normal(sigma: float) -> Law:
    return lambda chance: exp(chance.gauss(0.0, sigma))


def _heavier(scale: float) -> Law:
    """Draw a logarithm with exponential tails on both sides: the factor itself has those of a power law."""
    return lambda chance: exp(scale * chance.choice((-1, 1)) * -log(1 - chance.random()))


def _mixed(chance: Random) -> float:
    """One in twenty meets a cold cache and takes four times as long."""
    return exp(chance.gauss(0.0, 0.3)) * (4.0 if chance.random() < 0.05 else 1.0)


LAWS: Mapping[str, Law] = MappingProxyType(
    {
        "log-normal, sigma 0.2": _log_normal(0.2),
        "log-normal, sigma 0.6": _log_normal(0.6),
        "log-normal, sigma 1": _log_normal(1.0),
        "power-law tails, exponent 2": _heavier(0.5),
        "power-law tails, exponent 1.25": _heavier(0.8),
        "one in twenty takes 4 x": _mixed,
    }
)


def share_called_slow(law: Law, similar: int, drawn: int, seed: int = 1) -> float:
    """Learn from so many jobs, again and again; gives the share of further healthy ones beyond the bound."""
    chance = Random(f"{seed} {similar}")
    slow = rounds = 0
    while rounds * PER_ROUND < drawn:
        history = _learned(law, similar, chance)
        for _ in range(PER_ROUND):
            predicted_s, took_s = job(law, chance)
            prediction = history.predict("this", predicted_s)
            slow += prediction is not None and took_s > prediction.quantile(SLOW_BEYOND)
        rounds += 1
    return slow / (rounds * PER_ROUND)


def _learned(law: Law, similar: int, chance: Random) -> History:
    return learn([_group("this", similar, law, chance), *beside(law, chance)], None)


def beside(law: Law, chance: Random) -> list[Group]:
    """Draw finished jobs of two other kinds."""
    return [_group(kind, _BESIDE, law, chance) for kind in ("that", "other")]


def _group(kind: str, count: int, law: Law, chance: Random) -> Group:
    jobs = [job(law, chance) for _ in range(count)]
    return Group(kind, 0, tuple(one.predicted_s for one in jobs), tuple(one.took_s for one in jobs))


def job(law: Law, chance: Random) -> Taken:
    """Draw a job."""
    predicted_s = chance.uniform(1, 9.9)
    return Taken(predicted_s, 1.7 * predicted_s * law(chance))
