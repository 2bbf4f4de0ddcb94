"""Random situations in which something is the matter: how often that is what the customer is told first."""

import time
from collections import Counter

from benchmarks.report import Table
from tests.unit.diagnosis.planted import planted

from invoicing.diagnosis.model.causes import examine, foremost
from invoicing.diagnosis.model.check import Code

SITUATIONS = 10_000


def run() -> Table:
    """Build each situation from its seed, and ask the rules."""
    situations, right, unexplained = Counter[str](), Counter[str](), Counter[str]()
    judged_s = 0.0
    for seed in range(SITUATIONS):
        built = planted(seed)
        began = time.perf_counter()
        check = foremost(built.facts, examine(built.facts))
        judged_s += time.perf_counter() - began
        for name in {" + ".join(sorted(built.names)), "all"}:
            situations[name] += 1
            right[name] += check is not None and check.code is built.expected
            unexplained[name] += (
                check is not None and check.code is Code.UNEXPLAINED and built.expected is not Code.UNEXPLAINED
            )
    table = Table(
        f"The planted cause, in {SITUATIONS:,} random situations ({judged_s / SITUATIONS * 1e6:.0f} us each)",
        ("planted", "situations", "named first", "unexplained"),
    )
    for name in sorted(situations, key=lambda one: (one.count(" + "), one)):
        share, lost = right[name] / situations[name], unexplained[name] / situations[name]
        table.add(name, f"{situations[name]:,}", f"{share:.2%}", f"{lost:.2%}")
    table.bar("share in which the planted cause is named first (%)", 100 * right["all"] / SITUATIONS, at_least=100)
    table.bar(
        "share that is unexplained though something was planted (%)", 100 * unexplained["all"] / SITUATIONS, at_most=0
    )
    return table
