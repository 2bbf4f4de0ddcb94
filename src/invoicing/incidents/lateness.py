"""Promises missed, at risk or certain to be missed: charged to what held their jobs up, the rest found by itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from invoicing.diagnosis import service as diagnosis
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.eta import expect
from invoicing.diagnosis.model.facts import facts_of
from invoicing.incidents.model import aftermath, findings
from invoicing.incidents.model.aftermath import Charges, Late
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Finding, Incident
from invoicing.incidents.model.promises import of_promises
from invoicing.incidents.store import facts, late, rows
from invoicing.jobs import service as ledger
from invoicing.kit.db import Session

_MOST_ASKED = 50
"""Promises at risk of which it is asked in one look whether they can still be kept, those due first."""

_DECIDED = frozenset({Code.IN_REVIEW, Code.AWAITING_QUOTA, Code.SCHEDULED, Code.PAUSED, Code.CUSTOMER_LIMIT})
"""Why jobs wait that somebody wants to wait: their promises are at risk, and that is no fault."""


@dataclass(frozen=True)
class Promises:
    """What was found, with the promises that it breaks; those that earlier causes broke; and those that nothing did."""

    findings: Sequence[Finding]
    charges: Charges
    charged: Sequence[Incident]
    """The incidents that are charged."""


async def charge(
    session: Session, found: Sequence[Finding], incidents: Collection[Incident], now: datetime
) -> Promises:
    """Charge promises to what holds their jobs now, or held them; asks about single jobs where that is not all."""
    broken = await facts.broken(session)
    if not broken:
        return Promises(found, Charges({}, ()), ())
    holding = findings.with_promises(found, broken, await facts.paused(session))
    if not holding.left:
        return Promises(holding.findings, Charges({}, ()), ())
    known = [*{one.id: one for one in (*await rows.lately(session), *incidents)}.values()]
    ones = await late.of_groups(session, holding.left)
    charges = aftermath.charged(aftermath.spans(known, now), ones, now)
    return Promises(holding.findings, _bounded(charges, ones), [one for one in known if one.id in charges.blasts])


def _bounded(charges: Charges, ones: Sequence[Late]) -> Charges:
    """Say of counts that there are more, where a lane had more than were looked at."""
    if len(ones) < late.MOST_OF_A_LANE:
        return charges
    return replace(charges, blasts={one: replace(blast, at_least=True) for one, blast in charges.blasts.items()})


async def unexplained(session: Session, left: Sequence[Late], incidents: Collection[Incident]) -> list[Finding]:
    """Find lanes whose promises are missed, or certain to be, and no other incident is why."""
    known = {one.scope for one in incidents if one.live and one.cause is Cause.PROMISES_MISSED}
    return [*of_promises(left, await _certain(session, left), known)]


async def _certain(session: Session, left: Sequence[Late]) -> Collection[UUID]:
    """Tell which promises at risk will be missed by all that is known: the job ends later even if all goes well."""
    at_risk = sorted((one for one in left if not one.missed), key=lambda one: (one.due, one.job_id))[:_MOST_ASKED]
    jobs = await ledger.anybodys(session, [one.job_id for one in at_risk]) if at_risk else []
    if not jobs:
        return ()
    snapshot, certain = await diagnosis.look(session, jobs), set[UUID]()
    for job in jobs:
        job_facts = facts_of(snapshot, job, None)
        check = shown(job_facts, examine(job_facts))
        eta = None if check is None or check.code in _DECIDED else expect(job_facts, check)
        if eta is not None and eta.earliest > job.promise_due:
            certain.add(job.id)
    return certain
