"""Looking for what holds now: several sources, each of which may fail without stopping the others.

What a source that failed, or was not asked, could have found is neither there nor gone: it is not known.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from pydantic_core import to_jsonable_python

from invoicing.diagnosis import service as diagnosis
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Check, Code
from invoicing.diagnosis.model.conditions import BLIND_AFTER
from invoicing.diagnosis.model.facts import facts_of
from invoicing.incidents import lateness, on_call
from invoicing.incidents.lateness import Promises
from invoicing.incidents.model import aftermath, findings
from invoicing.incidents.model.calling import calls, steps_of
from invoicing.incidents.model.causes import POISON_WITHIN, Cause
from invoicing.incidents.model.facts import Stuck
from invoicing.incidents.model.incident import Blast, Finding, Incident
from invoicing.incidents.model.outages import outages
from invoicing.incidents.store import facts, late
from invoicing.incidents.store.calls import began
from invoicing.incidents.store.facts import Moment
from invoicing.jobs import service as ledger
from invoicing.jobs.model import FINISHED, Job
from invoicing.kit.db import Session, is_away
from invoicing.lanes import service as lanes
from invoicing.lanes.model import Lane
from invoicing.rota.model import next_on_duty
from invoicing.rota.model.escalation import FORESEEN

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Look:
    """What was found, and which causes were looked for: only of those is it known that they are not there."""

    findings: Sequence[Finding]
    looked_for: frozenset[Cause]
    charges: Mapping[UUID, Blast] = field(default_factory=dict)
    """Promises broken by incidents of which the jobs are late though nothing holds them now, by the incidents' ids."""
    charged: Sequence[Incident] = ()
    """These incidents."""


@dataclass(frozen=True)
class _Asked:
    """What every source works with."""

    session: Session
    moment: Moment
    known: Collection[Incident]

    @property
    def blind(self) -> bool:
        """Whether what is kept of lanes may be out of date."""
        return self.moment.now - self.moment.looked_at > BLIND_AFTER

    def live(self, cause: Cause) -> list[Incident]:
        """List the live incidents of a cause."""
        return [one for one in self.known if one.live and one.cause is cause]


@dataclass(frozen=True)
class _Source:
    causes: frozenset[Cause]
    find: Callable[[_Asked], Awaitable[Iterable[Finding]]]
    needs_sight: bool = False
    """Whether it rests on what is kept of lanes."""


async def look(session: Session, moment: Moment, known: Collection[Incident], *, thorough: bool) -> Look:
    """Look for what holds now; `thorough`: also for what is not worth asking every second."""
    asked = _Asked(session, moment, known)
    found = [*findings.blind(moment.looked_at, moment.now, BLIND_AFTER)]
    looked_for = {Cause.WATCHDOG_BLIND}
    sources = [one for one in _QUICK + (_SLOW if thorough else _BETWEEN) if not (asked.blind and one.needs_sight)]
    for source, some in await _of_all(sources, asked):
        found += some
        looked_for |= source.causes
    if not (found or thorough or any(one.live for one in known)):
        return Look((), frozenset(looked_for))
    promises = await _charged(asked, found)
    if promises is None:
        return Look([_plain(one) for one in found], frozenset(looked_for))
    found = [*promises.findings]
    missed = await _of_one(_promises(promises), asked) if thorough else None
    if missed is not None:
        found += missed
        looked_for.add(Cause.PROMISES_MISSED)
    return Look([_plain(one) for one in found], frozenset(looked_for), promises.charges.blasts, promises.charged)


async def _charged(asked: _Asked, found: Sequence[Finding]) -> Promises | None:
    """Charge broken promises to what breaks them; None: that failed, which is logged."""
    try:
        async with asked.session.begin_nested():
            return await lateness.charge(asked.session, found, asked.known, asked.moment.now)
    except Exception as error:
        if is_away(error):
            raise
        extra = {"action": "incidents.source_failed", "causes": [Cause.PROMISES_MISSED]}
        log.exception("cannot tell what breaks promises", extra=extra)
        return None


def _promises(promises: Promises) -> _Source:
    """Tell of those promises that nothing explains, as any other source does."""
    return _Source(
        frozenset({Cause.PROMISES_MISSED}),
        lambda asked: lateness.unexplained(asked.session, promises.charges.left, asked.known),
    )


async def _of_all(sources: Sequence[_Source], asked: _Asked) -> list[tuple[_Source, list[Finding]]]:
    """Ask all sources; where one of them fails each is asked by itself, and what fails again is left out."""
    try:
        async with asked.session.begin_nested():
            return [(source, [*await source.find(asked)]) for source in sources]
    except Exception as error:
        if is_away(error):
            raise
    each = [(source, await _of_one(source, asked)) for source in sources]
    return [(source, some) for source, some in each if some is not None]


async def _of_one(source: _Source, asked: _Asked) -> list[Finding] | None:
    """Ask a source; None: it failed, which is logged."""
    try:
        async with asked.session.begin_nested():
            return [*await source.find(asked)]
    except Exception as error:
        if is_away(error):
            raise
        extra = {"action": "incidents.source_failed", "causes": sorted(source.causes)}
        log.exception("cannot look for some causes", extra=extra)
        return None


async def _lanes(asked: _Asked) -> Iterable[Finding]:
    held = await facts.held(asked.session)
    if not held:
        return ()
    backlog, everything = await facts.backlog(asked.session)
    if not everything.jobs:
        return ()
    runways = await facts.runways(asked.session)
    oldest = {Lane(*parts): at for parts, at in (await ledger.oldest(asked.session)).items()}
    return [
        *findings.of_lanes(
            findings.claimable(held, runways), backlog, everything, oldest, await facts.paused(asked.session)
        ),
        *findings.of_kinds_nobody_offers(held, runways),
    ]


async def _hosts(asked: _Asked) -> Iterable[Finding]:
    workers, now = await lanes.all_workers(asked.session), asked.moment.now
    suspects = [one for one in workers if not one.alive or now - one.loop_beat_at > one.alive_for]
    if not suspects:
        return ()
    held = await facts.in_hand(asked.session, [one.id for one in suspects])
    return findings.of_hosts(suspects, held, now)


async def _progress(asked: _Asked) -> Iterable[Finding]:
    stuck = await showing(asked.session, await facts.quiet(asked.session), Code.NO_PROGRESS)
    return findings.of_jobs_without_progress(stuck)


async def _failures(asked: _Asked) -> Iterable[Finding]:
    known = {one.scope for one in asked.live(Cause.DEPENDENCY_DOWN)}
    return [*await _down(asked), *findings.of_failures(await facts.failures(asked.session), known)]


async def _down(asked: _Asked) -> Iterable[Finding]:
    breakers = await ledger.breakers(asked.session)
    held = await facts.held_back(asked.session, breakers) if breakers else {}
    return [*outages(breakers, held)]


async def _quarantine(asked: _Asked) -> Iterable[Finding]:
    open_kinds = {str(one.evidence["kind"]): one.since for one in asked.live(Cause.POISON) if "kind" in one.evidence}
    return findings.of_quarantine(await facts.quarantine(asked.session, POISON_WITHIN, open_kinds))


async def _refusals(asked: _Asked) -> Iterable[Finding]:
    return findings.of_refusals(await facts.refusals(asked.session))


async def _duty(asked: _Asked) -> Iterable[Finding]:
    live = {one.id: one for one in asked.known if one.live and calls(one)}
    begun = await began(asked.session, live) if live else ()
    if not begun:
        return ()
    known = await on_call.facts(asked.session)
    waiting = sorted(one for one in begun if steps_of(live[one], known.rota) is not None)
    if known.rota is None or known.posts or not waiting:
        return ()
    upcoming = next_on_duty(known.rota, known.now, FORESEEN)
    return [findings.nobody_on_duty(waiting, None if upcoming is None else upcoming.begins, known.now)]


async def _unexplained(asked: _Asked) -> Iterable[Finding]:
    stuck = await showing(asked.session, await facts.unheld(asked.session), Code.UNEXPLAINED)
    if not stuck:
        return ()
    ended = await late.ended(asked.session, stuck)
    return findings.of_unexplained(aftermath.unexplained(stuck, ended, [*asked.known], asked.moment.now))


_QUICK = (
    _Source(frozenset({Cause.NO_WORKER, Cause.NO_CAPABLE_WORKER, Cause.UNDELIVERED}), _lanes, needs_sight=True),
    _Source(frozenset({Cause.WORKER_LOST, Cause.LOOP_BLOCKED}), _hosts),
    _Source(frozenset({Cause.NO_PROGRESS}), _progress),
    _Source(frozenset({Cause.NOBODY_ON_DUTY}), _duty),
)

_BETWEEN = (_Source(frozenset(), _down),)
"""What opens at once; that it is gone only a thorough look tells, which asks for all of its cause."""

_SLOW = (
    _Source(frozenset({Cause.DEPENDENCY_DOWN}), _failures),
    _Source(frozenset({Cause.POISON}), _quarantine),
    _Source(frozenset({Cause.UNDELIVERED_RESULT}), _refusals),
    _Source(frozenset({Cause.UNEXPLAINED}), _unexplained, needs_sight=True),
)


async def showing(session: Session, job_ids: Sequence[UUID], code: Code) -> list[Stuck]:
    """Ask the rules about some jobs; gives those that show a cause."""
    if not job_ids:
        return []
    jobs = [job for job in await ledger.anybodys(session, job_ids) if job.state not in FINISHED]
    if not jobs:
        return []
    snapshot = await diagnosis.look(session, jobs)
    found = []
    for job in jobs:
        job_facts = facts_of(snapshot, job, None)
        check = shown(job_facts, examine(job_facts))
        if check is not None and check.code is code:
            found.append(_stuck(job, check))
    return found


def _stuck(job: Job, check: Check) -> Stuck:
    lane = Lane(job.priority, job.size)
    return Stuck(job.id, job.customer_id, job.kind, lane, check.since or check.observed_at, job.submitted_at, job.needs)


def _plain(finding: Finding) -> Finding:
    """Write evidence as it will be read again, so that what is not new compares as equal."""
    return replace(finding, evidence=to_jsonable_python(finding.evidence))
