"""`python -m benchmarks [NAME ...] [--quick] [--rows N]`: measure, beside the peers, and print."""

import argparse
import sys
from importlib import import_module

from benchmarks.pace import FULL, QUICK

ROWS = 100_000

BENCHMARKS = ("accept", "latency", "issuing", "sizes", "simulated", "causes", "eta", "normal", "bursts", "filling")
"""The files here that have a function `run() -> Table`."""

PACED = (
    *("isolation", "drain", "fairness", "dispatch", "fleet", "losses", "leases", "incidents", "alerting", "weeks"),
    "evaluation",
)
"""Those whose `run(pace)` takes minutes, and can be asked to hurry."""

SIZED = ("stored", "reading")
"""Those whose `run(rows)` is told how much there is in the ledger."""


def main() -> None:
    """Run those named, or all; `--quick` shows in a minute or so that one works, its figures prove nothing."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=main.__doc__)
    asked.add_argument("names", nargs="*", metavar="NAME")
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--rows", type=int, default=ROWS, help="finished jobs of the benchmarks `stored` and `reading`")
    given = asked.parse_args()
    names, pace = given.names, QUICK if given.quick else FULL
    known = (*BENCHMARKS, *PACED, *SIZED)
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        run = import_module(f"benchmarks.{name}").run
        arguments = (pace,) if name in PACED else (given.rows,) if name in SIZED else ()
        print(run(*arguments), flush=True)


if __name__ == "__main__":
    main()
