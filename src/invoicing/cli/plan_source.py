"""Where `plan` gets its jobs from, and a load that somebody describes: no server is needed for that."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.plan_flags import refused
from invoicing.kit.problems import Problem
from invoicing.lanes.model import POLICY, Policy
from invoicing.plan.described import load_of, table
from invoicing.plan.model.ladder import spoken
from invoicing.plan.model.load import arrivals
from invoicing.plan.model.work import Work


@dataclass(frozen=True)
class Source:
    """Jobs to plan with, and what is known of today."""

    says: str
    jobs: Callable[[int], Sequence[Work]]
    """Makes those of a run, given its number from 0."""
    workers: tuple[int, ...]
    """Slots of each worker that serves today; empty where that is not known."""
    policy: Policy
    notes: tuple[str, ...]


def described(file: Path | None, streams: Sequence[str], lasts: str | None, seed: int, most: int) -> Source:
    """Read a load from a file, with further streams from flags."""
    given: dict[str, object] = {"stream": []}
    try:
        if file is not None:
            given = table(_text(file), f"--load {file}")
        for text in streams:
            one = table(f"stream = {{ {text.strip().removeprefix('{').removesuffix('}')} }}", "--stream")["stream"]
            already = given.get("stream")
            given["stream"] = [*(already if isinstance(already, list) else []), one]
        if lasts is not None:
            given["lasts"] = lasts
        load = load_of(given)
    except Problem as problem:
        raise refused(f"--load {file}" if file is not None else "--stream", problem) from problem

    made = cache(lambda run: arrivals(load, seed + run, most))
    jobs, whole = made(0)
    if not jobs:
        raise Fault("The load has no jobs.", "Raise a rate, or let it last longer: --lasts 1d.", USAGE)
    notes = [f"On average the work that arrives keeps {load.offered():.1f} slots busy."]
    if not whole:
        notes.append(f"Cut off: a stream has more than {most:,} jobs; the later ones were left out (--most).")
    name = f"the load of {file.name}" if file is not None else "the load described by --stream"
    says = f"{name}: {len(jobs):,} jobs in {spoken(load.lasts_s)}"
    return Source(says, lambda run: made(run)[0], load.workers, POLICY, tuple(notes))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"--load {file} cannot be read: {error}.", "See `invoicing plan --example`.", USAGE) from error
