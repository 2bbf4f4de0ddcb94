"""What `plan` reads from the ledger: the jobs that finished lately, and the fleet of today."""

from datetime import timedelta
from functools import cache
from pathlib import Path

from invoicing.cli.database import database_of, in_transaction
from invoicing.cli.faults import Fault
from invoicing.cli.plan_source import Source
from invoicing.kit.db import Session
from invoicing.plan import service
from invoicing.plan.model.changes import redrawn
from invoicing.plan.model.ladder import spoken

_BLOCKS = 20
"""Into how many parts of time a history is cut, to draw others like it."""
_FEWEST = 20
"""Finished jobs below which a history says nothing."""


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
