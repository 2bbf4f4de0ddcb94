"""`python -m benchmarks [accept] [latency] [issuing] [sizes]`: measure, beside the peers, and print."""

import sys
from collections.abc import Callable

from benchmarks import accept, issuing, latency, sizes
from benchmarks.report import Table

BENCHMARKS: dict[str, Callable[[], Table]] = {
    "accept": accept.run,
    "latency": latency.run,
    "issuing": issuing.run,
    "sizes": sizes.run,
}


def main() -> None:
    """Run those named, or all."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        print(BENCHMARKS[name](), flush=True)


if __name__ == "__main__":
    main()
