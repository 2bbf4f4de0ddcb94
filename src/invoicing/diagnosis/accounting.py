"""Why a job is where it is, and where all of its time went: facts, lives and conditions read, then joined."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from invoicing.diagnosis import records
from invoicing.diagnosis.model.account import Condition, Part, account, windows
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Check, Code
from invoicing.diagnosis.model.life import Life
from invoicing.diagnosis.service import NO_KINDS, facts_about
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import Job
from invoicing.kit.db import Session
from invoicing.lanes.model import Lane


@dataclass(frozen=True)
class Why:
    """What is known of a job at one moment."""

    now: datetime
    causes: Sequence[Check]
    """All that hold, the one that is shown first."""
    checks: Sequence[Check]
    """What every rule answered."""
    parts: Sequence[Part]
    """Its life, booked."""


async def why(session: Session, job: Job, kinds: Kinds = NO_KINDS) -> Why:
    """Ask every rule about a job, finished or not, and book its life; a fixed number of statements."""
    facts = await facts_about(session, job, kinds)
    checks = examine(facts)
    first = shown(facts, checks)
    holding = [check for check in checks if check.holds]
    causes = holding if first is None else [first, *(check for check in holding if check is not first)]
    silent = next((check.since for check in holding if check.code is Code.WORKER_LOST), None)
    (life,) = await lives(session, [job])
    (parts,) = await accounts(session, [life], facts.now, silent)
    return Why(facts.now, causes, checks, parts)


async def lives(session: Session, jobs: Sequence[Job]) -> list[Life]:
    """Read what is kept of the lives of jobs, in their order; two statements however many they are."""
    entries = await records.entries(session, [(job.id, job.revision) for job in jobs])
    tries = await records.tries(session, [job.id for job in jobs])
    return [
        Life(
            job_id=job.id,
            customer_id=job.customer_id,
            kind=job.kind,
            lane=Lane(job.priority, job.size).name,
            predicted_s=job.predicted_s,
            submitted_at=job.submitted_at,
            due_at=job.due_at,
            ended_at=job.finished_at,
            entries=entries.get(job.id, ()),
            tries=tries.get(job.id, {}),
            needs=job.needs,
        )
        for job in jobs
    ]


async def accounts(
    session: Session, found: Sequence[Life], now: datetime, silent_since: datetime | None = None
) -> list[tuple[Part, ...]]:
    """Book lives, in their order; one statement however many they are."""
    needed = [windows(life, now) for life in found]
    held = _by_scope(await records.during(session, set(chain.from_iterable(needed))))
    return [
        account(life, chain.from_iterable(held.get(one.scope, ()) for one in wanted), now, silent_since)
        for life, wanted in zip(found, needed, strict=True)
    ]


def _by_scope(conditions: Iterable[Condition]) -> dict[str, list[Condition]]:
    found: dict[str, list[Condition]] = {}
    for one in conditions:
        found.setdefault(one.scope, []).append(one)
    return found
