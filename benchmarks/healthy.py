"""Healthy work of several sorts, and how often the service would call it slower than normal."""

from collections.abc import Callable, Mapping
from math import exp, log
from random import Random
from types import MappingProxyType

from invoicing.diagnosis.model.durations import Group, History, learn
from invoicing.diagnosis.model.running import SLOW_BEYOND

Law = Callable[[Random], float]
"""Draws by which factor a job takes longer than usual."""

PER_ROUND = 5
_BESIDE = 40
"""Finished jobs of each of two other kinds."""


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
            predicted_s, took_s = _job(law, chance)
            prediction = history.predict("this", predicted_s)
            slow += prediction is not None and took_s > prediction.quantile(SLOW_BEYOND)
        rounds += 1
    return slow / (rounds * PER_ROUND)


def _learned(law: Law, similar: int, chance: Random) -> History:
    groups = []
    for kind, count in (("this", similar), ("that", _BESIDE), ("other", _BESIDE)):
        jobs = [_job(law, chance) for _ in range(count)]
        groups.append(Group(kind, 0, tuple(p for p, _ in jobs), tuple(d for _, d in jobs)))
    return learn(groups, None)


def _job(law: Law, chance: Random) -> tuple[float, float]:
    predicted_s = chance.uniform(1, 9.9)
    return predicted_s, 1.7 * predicted_s * law(chance)
