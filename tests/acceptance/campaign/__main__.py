"""`make campaign`: a long campaign from a random seed, its figures, and exit code 1 when anything was violated."""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
from pathlib import Path

from .campaign import Terms, run
from .checker import violations
from .faults import KINDS
from .figures import table


def main() -> int:
    """Run and report."""
    asked = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="invoicing-campaign-"))
    sys.stdout.write(f"seed {asked.seed}, {asked.minutes:g} minutes; everything is in {folder}\n")
    sys.stdout.flush()
    logging.basicConfig(filename=folder / "faults.log", format="%(asctime)s %(message)s")
    logging.getLogger(__package__).setLevel(logging.INFO)
    terms = Terms(
        asked.seed, asked.minutes * 60, asked.apart, asked.clients, kinds=asked.only or KINDS, flood=asked.flood
    )
    result = asyncio.run(run(terms, folder / "home"))
    found = violations(result.seen)
    sys.stdout.write(table(result, found) + "\n")
    flooded = result.flooded
    if found or (flooded is not None and (flooded.ran_twice or flooded.unfinished)):
        sys.stdout.write(f"The same faults again: make campaign ARGS='--seed {asked.seed}'; logs: {folder}/home/logs\n")
        return 1
    if not asked.keep:
        shutil.rmtree(folder)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make campaign ARGS='...'", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9), help="default: random")
    parser.add_argument("--minutes", type=float, default=30.0, help="default: %(default)g")
    parser.add_argument("--apart", type=float, default=5.0, help="seconds between faults; default: %(default)g")
    parser.add_argument("--only", action="append", choices=KINDS, metavar="KIND", help=f"one of: {'; '.join(KINDS)}")
    parser.add_argument("--clients", type=int, default=4, help="default: %(default)d")
    parser.add_argument("--flood", type=int, default=10_000, help="jobs at a last FLUSHALL; default: %(default)d")
    parser.add_argument("--keep", action="store_true", help="keep the folder though nothing was violated")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
