"""How far predictions miss, before and after they are corrected: drawn jobs, the service's own rules, no process."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from math import exp, inf, log
from statistics import median

from benchmarks.report import Table

from invoicing.jobs.model import Size
from invoicing.lanes.model import POLICY
from invoicing.lanes.model.sizes import (
    NOBODY,
    NOTHING,
    CustomerModel,
    KindModel,
    Seen,
    deviation,
    factor,
    factor_at,
    learn,
    predict,
)

SEED = 7
CUSTOMERS = [f"c{number}" for number in range(20)]
SIGMA = 1.0
"""Log-normal error of the estimates, as in the simulations of the policy."""

Drawn = tuple[str, float, float]
"""Customer, estimated and actual seconds."""


class Learned:
    """A kind and its customers."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.kind: KindModel = NOTHING
        self.customers: dict[str, CustomerModel] = {}

    def add(self, jobs: Iterable[Drawn]) -> "Learned":
        """Learn from jobs."""
        for customer, estimated_s, actual_s in jobs:
            own = self.customers.get(customer, NOBODY)
            self.kind, self.customers[customer] = learn(self.kind, own, Seen.of(estimated_s, actual_s), 0.0)
        return self

    def predicted(self, customer: str, estimated_s: float) -> float:
        """Correct an estimate."""
        return estimated_s * factor(self.kind, self.customers.get(customer, NOBODY), estimated_s)

    def miss(self, jobs: Iterable[Drawn]) -> float:
        """Give the factor (1 and more) by which half of the predictions miss."""
        return median(exp(abs(log(self.predicted(one, estimated) / actual))) for one, estimated, actual in jobs)


def drawn(count: int, bias: Callable[[str], float], exponent: float = 1.0, sigma: float = SIGMA) -> list[Drawn]:
    """Draw jobs of 20 ms to 5 h whose estimates are too small by a bias, and wrong by chance."""
    draw, found = random.Random(SEED), []
    for _ in range(count):
        customer, actual = draw.choice(CUSTOMERS), exp(draw.uniform(log(0.02), log(18_000)))
        found.append((customer, (actual / bias(customer)) ** (1 / exponent) * exp(draw.gauss(0, sigma)), actual))
    return found


def lies_until_believed_no_more(honest_before: int, claimed_s: float = 0.3, actual_s: float = 300.0) -> int:
    """Count the jobs a thousand times too long after which a customer's next one has its right class."""
    learned = Learned().add(drawn(500, lambda _: 1.0)).add([("liar", claimed_s, claimed_s)] * honest_before)
    lies = 0
    while POLICY.cutoffs.classify(learned.predicted("liar", claimed_s)) is not Size.LARGE:
        learned.add([("liar", claimed_s, actual_s)])
        lies += 1
    return lies


def shift_of_others(lies: int) -> float:
    """Give the factor by which a flood of lies shifts a newcomer's estimate."""
    learned = Learned().add(drawn(400, lambda _: 1.0))
    before = learned.predicted("newcomer", 0.5)
    return learned.add([("liar", 0.3, 300.0)] * lies).predicted("newcomer", 0.5) / before


def coverage(jobs: Sequence[Drawn], skipped: int = 200) -> float:
    """Give the share of jobs that end within the range stated for nine in ten, each predicted before it is learned."""
    learned, inside = Learned(), 0
    for number, (customer, estimated_s, actual_s) in enumerate(jobs):
        found = predict(learned.kind, learned.customers.get(customer, NOBODY), estimated_s)
        inside += number >= skipped and found.p05_s <= actual_s <= found.p95_s
        learned.add([(customer, estimated_s, actual_s)])
    return inside / (len(jobs) - skipped)


def microseconds(what: Callable[[], object], times: int = 4_000, rounds: int = 5) -> float:
    """Measure what one call costs, in the best of a few rounds."""
    best = inf
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(times):
            what()
        best = min(best, time.perf_counter() - begun)
    return best / times * 1e6


def run() -> Table:
    """Draw, learn, and compare."""
    table = Table(
        "sizes: by which factor half of the predictions miss (seeded)", ["estimates", "raw", "50", "200", "2,000 jobs"]
    )
    situations: list[tuple[str, Callable[[str], float], float]] = [
        ("honest", lambda _: 1.0, 1.0),
        ("all 3 x too small", lambda _: 3.0, 1.0),
        ("a quarter of the customers 10 x too small, the others 2 x too large", _by_customer, 1.0),
        ("3 x too small, and the work grows as estimate^1.3", lambda _: 3.0, 1.3),
    ]
    for name, bias, exponent in situations:
        jobs = drawn(3_000, bias, exponent)
        later, raw = jobs[2_000:], Learned().miss(jobs[2_000:])
        misses = [Learned().add(jobs[:count]).miss(later) for count in (50, 200, 2_000)]
        table.add(name, f"{raw:.2f}", *(f"{miss:.2f}" for miss in misses))
        table.bar(
            f"corrected / raw after 2,000 jobs: {name}", misses[-1] / raw, at_most=1.08 if name == "honest" else 0.9
        )
    for before in (0, 5, 100):
        lies = lies_until_believed_no_more(before)
        table.bar(f"k: lies (1000 x) until the right class, after {before} honest jobs", lies, at_most=7)
    table.bar("shift of a newcomer's estimate by 20,000 lies of another", shift_of_others(20_000), at_most=1.6)
    table.bar("share of jobs inside the range stated for 0.9", coverage(drawn(3_000, lambda _: 3.0)), at_least=0.87)
    learned = Learned().add(drawn(500, lambda _: 3.0))
    line, away = learned.kind.line(), deviation(learned.kind, learned.customers["c1"])
    table.bar("microseconds per prediction", microseconds(lambda: factor_at(line, away, 5.0)), at_most=10)
    table.bar("microseconds per job learned", microseconds(lambda: learned.add([("c1", 5.0, 9.0)])), at_most=200)
    return table


def _by_customer(customer: str) -> float:
    return 10.0 if int(customer[1:]) % 4 == 0 else 0.5
