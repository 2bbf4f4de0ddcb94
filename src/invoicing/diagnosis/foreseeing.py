"""Foreseeing the ends of a sample of jobs, and learning from what came of them how far to trust the next ones."""

import random
from datetime import date
from uuid import UUID

from invoicing.diagnosis import scores, store
from invoicing.diagnosis.model.calibration import Class, Said, Tally, added_up
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.eta import expect, foresee
from invoicing.diagnosis.model.facts import Facts, facts_of
from invoicing.diagnosis.model.margins import Stage
from invoicing.diagnosis.model.running import SLOW_BEYOND
from invoicing.diagnosis.scores import Foretold, GoingOn
from invoicing.diagnosis.service import look
from invoicing.jobs import service as ledger
from invoicing.jobs.model import FINISHED, Eta
from invoicing.kit.db import Session
from invoicing.lanes.positions import positions

_AT_ONCE = 5
"""Running jobs, and as many that wait, whose ends are foreseen in a round: a few hundred a minute."""


async def foresee_some(session: Session) -> int:
    """Score the ends that were foreseen and foresee those of a few more jobs, drawn from all that wait or run.

    A handful of statements and jobs, whatever there is, and one caller at a time; gives how many ends it foresaw.
    """
    if not await scores.alone(session):
        return 0
    await scores.add(session, added_up(await scores.score(session)))
    found = await store.under_way(session)
    running = [work.job_id for works in found.running.values() for work in works]
    waiting = list((await positions(session, ())).line.places)
    chosen = [one for ids in (running, waiting) for one in random.sample(ids, min(len(ids), _AT_ONCE))]
    jobs = [job for job in await ledger.anybodys(session, chosen) if job.state not in FINISHED]
    if not jobs:
        return 0
    snapshot = await look(session, jobs)
    foretold = {job.id: _foretold(facts_of(snapshot, job, None)) for job in jobs}
    known: dict[UUID, Foretold] = {job_id: one for job_id, one in foretold.items() if one is not None}
    await scores.keep(session, known)
    return len(known)


async def scored(
    session: Session, first: date, last: date, *, kind: str | None, size: str | None, stage: str | None
) -> list[tuple[Class, Tally]]:
    """Tell what came of ends that were foreseen, by the days on which they came."""
    return await scores.tallies(session, first, last, kind=kind, size=size, stage=stage)


async def going_on(session: Session, *, kind: str | None, size: str | None, stage: str | None) -> GoingOn:
    """Count the foreseen jobs that go on."""
    return await scores.going_on(session, kind=kind, size=size, stage=stage)


async def forget(session: Session) -> None:
    """Remove what is of no more use to anybody."""
    await scores.forget_days(session)


def _foretold(facts: Facts) -> Foretold | None:
    check = shown(facts, examine(facts))
    foreseen = foresee(facts, check) if check else None
    if check is None or foreseen is None or foreseen.stage is None:
        return None
    said = _said(facts, expect(facts, check), foreseen.stage)
    return Foretold(facts.job.kind, (facts.job.size, foreseen.stage), foreseen.point_s, said)


def _said(facts: Facts, eta: Eta | None, stage: Stage) -> Said:
    if eta is None:
        return Said(None)
    earliest_s, likely_s, latest_s = (
        (moment - facts.now).total_seconds() for moment in (eta.earliest, eta.likely, eta.latest)
    )
    mean_s, ahead = facts.history.mean_s(facts.job.kind), facts.place.count if facts.place else 0
    certain = eta.confidence is not None
    return Said(
        likely_s,
        earliest_s if certain else None,
        latest_s if certain else None,
        naive_s=None if mean_s is None else (ahead / max(1, facts.slots) + 1) * mean_s,
        slow_after_s=_slow_after(facts) if stage is not Stage.RUNNING else None,
    )


def _slow_after(facts: Facts) -> float | None:
    return None if facts.prediction is None else facts.prediction.quantile(SLOW_BEYOND)
