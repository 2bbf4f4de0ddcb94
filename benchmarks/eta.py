"""How well ends are foreseen: a day of heavy-tailed work and a burst, in virtual time, by the real evaluator.

A share of the jobs is asked about when they arrive, and some while they run; what was learned by then is all it has.
Beside it the naive answer: the place in the line times the mean duration, over the slots.
"""

from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.loads import burst, day
from benchmarks.report import Table

from invoicing.diagnosis.model.margins import Stage
from invoicing.lanes.model import POLICY, SIZES
from invoicing.plan.model.foresight import Given, Prophet, simulate_foreseeing
from invoicing.plan.model.simulation import Fleet, Work

SHARE = {2: 0.1, 8: 0.04}
"""Of the jobs, by slots, that are asked about."""
SEEDS = (1,)
DAY_S = 86_400.0
FEWEST = 50
"""Of fewer no share is told."""


def run() -> Table:
    """Foresee, and count."""
    table = Table(
        "Foreseen ends (simulated with the real evaluator)",
        ["load", "class", "stage", "asked", "in the 90 % range", "likely: median error", "naive: median error"],
    )
    for slots in (2, 8):
        given = [one for seed in SEEDS for one in foreseen(day(slots, seed, DAY_S), slots, seed)]
        who = f"a day, k={slots}"
        _rows(table, who, given)
        table.bar(f"% in the nominal 90 % range (at least), {who}", _held(given) * 100, at_least=87.0)
        table.bar(f"% in the nominal 90 % range (at most), {who}", _held(given) * 100, at_most=93.0)
        beside = _error(given) / _naive(given)
        table.bar(f"x the median error of place x mean duration, {who}", beside, at_most=0.5)
    given = [one for seed in SEEDS for one in foreseen(burst(seed, slots=8), 8, seed)]
    for name, begins, ends in (("before", 0, 300), ("burst at 140 %", 300, 900), ("after", 900, 1e12)):
        _rows(table, f"k=8, {name}", [one for one in given if begins <= one.at_s < ends])
    return table


def foreseen(work: Sequence[Work], slots: int, seed: int) -> list[Given]:
    """Play a load; gives the ranges that were called certain."""
    prophet = Prophet(SHARE[slots], seed)
    simulate_foreseeing(work, Fleet((slots,)), POLICY, prophet)
    return [one for one in prophet.given if one.certain]


def _rows(table: Table, who: str, given: Sequence[Given]) -> None:
    for size in SIZES:
        for stage in Stage:
            own = [one for one in given if one.of == (size, stage)]
            if len(own) >= FEWEST:
                _row(table, who, size, stage, own)
    if given:
        _row(table, who, "all", "", given)


def _row(table: Table, who: str, size: str, stage: str, given: Sequence[Given]) -> None:
    errors = f"{_error(given):.2f} s", f"{_naive(given):.2f} s"
    table.add(who, size, stage, str(len(given)), f"{_held(given):.1%}", *errors)


def _held(given: Sequence[Given]) -> float:
    return sum(one.holds for one in given) / len(given)


def _error(given: Iterable[Given]) -> float:
    return median(abs(one.likely_s - one.actual_s) for one in given)


def _naive(given: Iterable[Given]) -> float:
    return median(abs(one.naive_s - one.actual_s) for one in given)
