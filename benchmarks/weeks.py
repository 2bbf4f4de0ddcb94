"""Weeks in virtual time: nobody is paged while all is well, and what is planted is found, alone, and ends by itself.

Real: the rules about lanes and jobs, when a condition ends, how findings are made of facts, the course of incidents.
Simulated: the service itself (traffic, workers, a dispatcher that starts the oldest first), and what statements would
read of it. It is looked at with each change and at least every minute, and every second while anything is unsettled.
"""

from itertools import cycle, islice, product

from benchmarks.pace import Pace
from benchmarks.report import Table
from tests.unit.incidents.faults import PLANTED
from tests.unit.incidents.weeks import flapping, healthy, judged, outage, seeded

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Severity

_HOUR_S, _DAY_S = 3_600.0, 86_400.0
_PAGES = frozenset({Severity.S1, Severity.S2, Severity.S3})


def run(pace: Pace) -> Table:
    """Play both weeks, and long outages; `--quick` a day of each, and shorter ones."""
    table = Table("Weeks in virtual time", ("what", "figure"))
    days, faults = pace.days, pace.faults
    well = healthy(days, 1)
    well.run(days * _DAY_S)
    pages = [one for one in well.opened if one.severity in _PAGES]
    table.add(f"{days:g} days of health: jobs, tried again", f"{well.ended:,}, {well.retried:,}")
    table.add("of these that waited for longer than a second", f"{well.waited:,}")
    table.add("looks at it", f"{well.looks:,}")
    table.add("incidents of S4, which page nobody", f"{len(well.opened) - len(pages)}")
    table.bar(f"pages in {days:g} days of health", len(pages), at_most=0)
    ill, planted = seeded(days, [*islice(cycle(PLANTED), faults)], 2)
    ill.run(days * _DAY_S + _HOUR_S)
    verdict = judged(ill, planted)
    for one in (*verdict.missed, *verdict.false):
        table.add("not as planted", str(one))
    for cause in Cause:
        table.add(f"planted: {cause}", str(sum(one.cause is cause for one in planted)))
    table.bar(f"found of {faults} planted faults", len(verdict.found), at_least=faults)
    table.bar("told though nothing was planted, or twice", len(verdict.false), at_most=0)
    table.bar("not over by themselves", verdict.left, at_most=0)
    for minutes, killed in product((15, 60) if days > 1 else (15,), (False, True)):
        world = outage(60.0 * minutes, killed=killed)
        what = f"pages of {minutes} minutes in which all workers are {'dead' if killed else 'away'}"
        told = [one for one in world.incidents.values() if one.severity in _PAGES]
        table.bar(what, len(told), at_least=1, at_most=1)
    table.bar("alerts of a cause that comes and goes 20 times in 10 minutes", flapping(), at_least=1, at_most=2)
    return table
