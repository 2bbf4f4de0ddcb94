"""`python -m benchmarks [NAME ...] [--quick]`: measure, beside the peers, and print."""

import sys
from importlib import import_module

from benchmarks.pace import FULL, QUICK

BENCHMARKS = ("accept", "latency", "issuing", "sizes", "simulated")
"""The files here that have a function `run() -> Table`."""

PACED = ("isolation", "drain", "fairness", "dispatch", "fleet")
"""Those whose `run(pace)` takes minutes, and can be asked to hurry."""


def main() -> None:
    """Run those named, or all; `--quick` shows in a minute or so that one works, its figures prove nothing."""
    names = [name for name in sys.argv[1:] if name != "--quick"]
    pace = QUICK if "--quick" in sys.argv[1:] else FULL
    known = (*BENCHMARKS, *PACED)
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names or known:
        run = import_module(f"benchmarks.{name}").run
        print(run(pace) if name in PACED else run(), flush=True)


if __name__ == "__main__":
    main()
