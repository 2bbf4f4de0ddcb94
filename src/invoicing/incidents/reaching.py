"""Whose jobs an incident touches now, and what these are about."""

from collections.abc import Collection, Sequence
from uuid import UUID

from invoicing.diagnosis.model.check import Code
from invoicing.incidents.looking import showing
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.facts import Stuck
from invoicing.incidents.model.incident import Incident
from invoicing.incidents.model.notices import IN_LANES, MOST_JOBS, Subject, Touch, subjects_of
from invoicing.incidents.store import facts, money, touched
from invoicing.incidents.store.money import Sums
from invoicing.kit.db import Session


async def held_up(session: Session, incident: Incident, parts: Collection[Incident]) -> Sums:
    """Add up what the jobs are about that an incident holds, as far as their kinds know."""
    touches = await touching(session, incident, parts)
    waiting = [(customer_id, lane) for customer_id, touch in touches.items() for lane in touch.lanes]
    job_ids = [job_id for touch in touches.values() for job_id in touch.job_ids]
    return await money.sums(session, waiting, job_ids) if waiting or job_ids else Sums({})


async def touching(session: Session, incident: Incident, parts: Collection[Incident]) -> dict[UUID, Touch]:
    """Say whose jobs an incident touches now, and how many of each customer; `parts`: what was merged with it."""
    found: dict[UUID, Touch] = {}
    for subject in subjects_of(incident, parts):
        for customer_id, touch in (await _touched_by(session, subject)).items():
            earlier = found.get(customer_id)
            found[customer_id] = touch if earlier is None else earlier.with_other(touch)
    return found


async def _touched_by(session: Session, subject: Subject) -> dict[UUID, Touch]:
    if subject.cause in IN_LANES:
        waiting = await touched.in_lanes(session, subject.lanes)
        stuck = await _unexplained(session, subject) if subject.cause is Cause.UNEXPLAINED else None
        return {
            one.customer_id: Touch(subject.cause, one.waiting, one.lanes)
            for one in waiting
            if stuck is None or one.customer_id in stuck
        }
    pairs = await (
        _silent(session, subject) if subject.cause is Cause.NO_PROGRESS else touched.one_by_one(session, subject)
    )
    jobs: dict[UUID, set[UUID]] = {}
    for customer_id, job_id in pairs:
        jobs.setdefault(customer_id, set()).add(job_id)
    many = len(pairs) >= MOST_JOBS
    return {one: Touch(subject.cause, job_ids=frozenset(ids), at_least=many) for one, ids in jobs.items()}


async def _unexplained(session: Session, subject: Subject) -> Collection[UUID]:
    """Name the customers of whom a job stands still in a lane, and nothing proves why."""
    stuck = await showing(session, await facts.unheld(session), Code.UNEXPLAINED)
    return {one.customer_id for one in stuck if subject.lanes is None or one.lane.name in subject.lanes}


async def _silent(session: Session, subject: Subject) -> list[tuple[UUID, UUID]]:
    """List the running jobs that are silent for longer than their bound."""
    stuck: Sequence[Stuck] = await showing(session, await facts.quiet(session), Code.NO_PROGRESS)
    return [(one.customer_id, one.job_id) for one in stuck if subject.kinds is None or one.kind in subject.kinds]
