"""Where `plan` gets its jobs from: a load that somebody describes, or the ledger's own history."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from invoicing.cli.database import database_of, in_transaction
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.plan_flags import refused
from invoicing.kit.db import Session
from invoicing.kit.problems import Problem
from invoicing.lanes.model import POLICY, Policy
from invoicing.plan import service
from invoicing.plan.described import load_of, table
from invoicing.plan.model.changes import redrawn
from invoicing.plan.model.ladder import spoken
from invoicing.plan.model.load import arrivals
from invoicing.plan.model.work import Work

_BLOCKS = 20
"""Into how many parts of time a history is cut, to draw others like it."""
_FEWEST = 20
"""Finished jobs below which a history says nothing."""


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


def from_ledger(home: Path, over: timedelta, seed: int, most: int) -> Source:
    """Read what finished lately, and who serves now."""

    async def read(session: Session) -> tuple[service.History, service.Today]:
        return await service.history(session, over, most), await service.today(session)

    history, today = in_transaction(database_of(home), read)
    if len(history.jobs) < _FEWEST:
        raise Fault(
            f"Only {len(history.jobs)} jobs finished in the last {spoken(over.total_seconds())}: too few to plan with.",
            "Look further back (--last 30d), or describe a load (invoicing plan --example).",
        )
    made = cache(lambda run: history.jobs if run == 0 else redrawn(history.jobs, _BLOCKS, seed + run))
    begins, length = f"{history.begins.astimezone():%Y-%m-%d %H:%M}", spoken(history.jobs[-1].at_s)
    says = f"{len(history.jobs):,} jobs that succeeded, as they arrived in {length} from {begins}"
    return Source(says, made, today.slots, today.policy, tuple(_notes(history, today, most)))


def _notes(history: service.History, today: service.Today, most: int) -> list[str]:
    notes = [
        f"Further runs draw {_BLOCKS} parts of that time anew, with replacement; what is not finished is not in it."
    ]
    if history.cut_off:
        notes.append(f"Cut off: more than {most:,} jobs finished in that time; the older ones were left out (--most).")
    if history.waiting_at_begin:
        notes.append(f"{history.waiting_at_begin:,} of the jobs had arrived before: they wait when it begins.")
    if not today.slots:
        notes.append("No worker is alive: the fleet is what --workers and --slots say (else one worker of 4 slots).")
    return notes


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Fault(f"--load {file} cannot be read: {error}.", "See `invoicing plan --example`.", USAGE) from error
