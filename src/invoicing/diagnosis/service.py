"""Explaining jobs: the facts read once for all of them, then judged one by one."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from invoicing.diagnosis import scores, store
from invoicing.diagnosis.model.causes import examine, next_news, shown
from invoicing.diagnosis.model.check import Answer, Check, Code
from invoicing.diagnosis.model.durations import History, learn, with_running
from invoicing.diagnosis.model.eta import earliest_start, expect, normal
from invoicing.diagnosis.model.facts import Facts, Snapshot, facts_of, waits
from invoicing.diagnosis.model.margins import AllMargins, margins
from invoicing.diagnosis.model.running import patience_s
from invoicing.diagnosis.words import FALLBACK, fields_of, say
from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import (
    FINISHED,
    Accepted,
    Breakers,
    Cause,
    Job,
    NewJob,
    Normal,
    Size,
    Standing,
    State,
)
from invoicing.jobs.model.holds import AwaitingQuota, InReview
from invoicing.jobs.view import as_accepted
from invoicing.kit.db import Session
from invoicing.kit.kept import Kept
from invoicing.lanes.model import Worker
from invoicing.lanes.positions import Positions, positions, with_newcomer

LEARN_AGAIN_AFTER_S = 15.0
"""How old what was learned from finished jobs may be: normal times change slowly, and learning reads many rows."""

NO_KINDS: Kinds = MappingProxyType({})


@dataclass(frozen=True)
class _Learned:
    at: float
    history: History
    margins: AllMargins


_learned: WeakKeyDictionary[Engine, _Learned] = WeakKeyDictionary()
"""What each database of this process taught; forgotten with its engine."""


async def explain(
    session: Session,
    jobs: Sequence[Job],
    kinds: Kinds = NO_KINDS,
    *,
    language: str = FALLBACK,
    fresh: bool = False,
) -> Mapping[UUID, Standing]:
    """Say of each job why it stands where it stands, what is ahead of it, when it ends and what is normal.

    At most six statements however many jobs are asked about, one or two more where something holds any of them, and
    those of the positions now and then. A finished job has only its normal times. `kinds` tells how often a job is
    tried; a kind that is not among them is explained without that number. `fresh` positions are those that this
    transaction sees, for a preview of what it changes.
    """
    if not jobs:
        return {}
    snapshot = await look(session, jobs, fresh=fresh)
    return {job.id: _standing(facts_of(snapshot, job, _attempts_allowed(job, kinds)), language) for job in jobs}


def just_accepted(job: Job, language: str = FALLBACK) -> Standing:
    """Say of a newcomer the one thing that is certain, without a look at the ledger: it has waited for no time yet."""
    at = job.submitted_at
    return Standing(cause=Cause(Code.STARTING, _welcome(language), at, at, None, {"elapsed_s": 0}))


@cache
def _welcome(language: str) -> str:
    return say(Check(Code.STARTING, Answer.HOLDS, datetime.now(UTC), wording="accepted"), language)


async def suppose(
    session: Session, new: NewJob, kinds: Kinds = NO_KINDS, *, language: str = FALLBACK
) -> tuple[Job, Standing]:
    """Say how a job would stand if it were accepted now, with the row that it would have; writes nothing."""
    at = await store.clock(session)
    job = as_accepted(new, Accepted(new.id, replayed=False, submitted_at=at))
    hold = await _held_by(session, new, at)
    if isinstance(hold, InReview):
        job = replace(job, state=State.IN_REVIEW)
    elif hold is not None:
        turn_at = hold.quota.turn_of(hold.ahead)
        job = replace(job, held=True, promise_due=new.due_from(turn_at) or job.promise_due)
    snapshot = await look(session, [job], line=await with_newcomer(session, job))
    snapshot = snapshot if hold is None else replace(snapshot, holds={job.id: hold})
    return job, _standing(facts_of(snapshot, job, _attempts_allowed(job, kinds)), language)


async def _held_by(session: Session, new: NewJob, at: datetime) -> InReview | AwaitingQuota | None:
    """Say what would hold a job that is accepted now."""
    review = new.terms.review
    if review is not None:
        return InReview(at, at + review.rule.within, review.rule.measure, review.rule.threshold, review.value)
    quota = await store.quota(session, new.terms.quota_id) if new.terms.quota_id else None
    if quota is None or (quota.free and not quota.waiting):
        return None
    return AwaitingQuota(at, quota, quota.waiting, at_least=False)


async def checks(session: Session, job: Job, kinds: Kinds = NO_KINDS) -> tuple[Check, ...]:
    """Ask every rule about one job: a statement more than it takes to explain it, for what could not be delivered."""
    return examine(await facts_about(session, job, kinds))


async def facts_about(session: Session, job: Job, kinds: Kinds = NO_KINDS) -> Facts:
    """Read what concerns one job, whether its end could be told included."""
    snapshot = await look(session, [job], deliveries=True)
    return facts_of(snapshot, job, _attempts_allowed(job, kinds))


async def look(
    session: Session,
    jobs: Sequence[Job],
    *,
    fresh: bool = False,
    deliveries: bool = False,
    line: Positions | None = None,
) -> Snapshot:
    """Read the facts about some jobs; those of lanes and workers only where one of the jobs is unfinished.

    With `deliveries` also what could not be delivered of those that are finished. With a `line` their places are its.
    """
    unfinished = [job for job in jobs if job.state not in FINISHED]
    begun = [(job.id, job.attempt) for job in jobs if job.attempt > 0]
    waiting = [job for job in unfinished if waits(job)]
    held = [job.id for job in unfinished if job.held or job.state is State.IN_REVIEW]
    holds = await store.holds(session, held) if held else {}
    ended = [job.id for job in jobs if job.state in FINISHED]
    undelivered = await store.undelivered(session, ended) if deliveries else None
    workers = await _workers_of(session, unfinished, fresh=fresh) if unfinished else ()
    if not waiting:
        paused = await store.pauses(session) if held else store.Pauses({}, {})
        now = await store.clock(session)
        learned = await _lessons(session, now)
        return Snapshot(
            now=now,
            workers=workers,
            pauses=paused.lanes,
            running={},
            runways={},
            places={},
            caps={},
            attempts=await store.attempts(session, begun) if begun else {},
            history=learned.history,
            undelivered=undelivered,
            margins=learned.margins,
            holds=holds,
            customer_pauses=paused.customers,
        )
    line = line or await positions(session, waiting, fresh=fresh)
    found, pauses = await _lanes_of(session, waiting, fresh=fresh)
    breakers = await _breakers_for(session, waiting, fresh=fresh)
    learned = await _lessons(session, found.now)
    ahead = {job.id: line.ahead(job) for job in waiting}
    return Snapshot(
        now=found.now,
        workers=workers,
        pauses=pauses.lanes,
        running=found.running,
        runways=found.runways,
        dispatched_at=found.dispatched_at,
        places={job_id: place for job_id, place in ahead.items() if place is not None},
        caps=await store.caps(session, {job.customer_id for job in waiting}),
        attempts=await store.attempts(session, begun) if begun else {},
        history=learned.history,
        policy_of=line.policies.of,
        undelivered=undelivered,
        margins=learned.margins,
        breakers=breakers,
        holds=holds,
        customer_pauses=pauses.customers,
    )


async def _workers_of(session: Session, jobs: Sequence[Job], *, fresh: bool) -> tuple[Worker, ...]:
    """List the workers as of a moment ago, or as of now where one that has a job is not among them yet."""
    if fresh:
        return await _WORKERS.read(session)
    holders = {job.worker_id for job in jobs} - {None}
    return await _WORKERS.get(session, lambda known: holders <= {worker.id for worker in known})


_Lanes = tuple[store.UnderWay, store.Pauses]


async def _lanes_of(session: Session, jobs: Sequence[Job], *, fresh: bool) -> _Lanes:
    """Read the lanes as of a moment ago, but no earlier than the jobs were there."""
    newest = max(job.submitted_at for job in jobs)
    return await (_LANES.read(session) if fresh else _LANES.get(session, lambda found: found[0].now >= newest))


async def _lanes(session: Session) -> _Lanes:
    return await store.under_way(session), await store.pauses(session)


async def _breakers_for(session: Session, jobs: Sequence[Job], *, fresh: bool) -> Breakers:
    """Read what is down as of a moment ago, where one of the jobs needs anything from outside."""
    if not any(job.needs for job in jobs):
        return {}
    return await (_BREAKERS.read(session) if fresh else _BREAKERS.get(session))


_KEPT_S = 0.1
"""How old what concerns all jobs may be when one of them is explained (seconds): it is read once for all who ask."""

_WORKERS = Kept(store.workers, _KEPT_S)
_LANES = Kept(_lanes, _KEPT_S)
_BREAKERS = Kept(ledger.breakers, _KEPT_S)


_TYPICAL_S: Mapping[Size, float] = MappingProxyType(
    {Size.SMALL: 0.3, Size.MEDIUM: 5.0, Size.LARGE: 150.0, Size.HUGE: 3600.0}
)
"""Predicted seconds that stand for a whole size class where no single job is asked about."""


async def normal_times(session: Session, kind: str) -> Mapping[Size, Normal]:
    """Say how long jobs of a kind take, for each size class of which enough have finished."""
    history = await _history(session, await store.clock(session))
    found = {}
    for size, typical_s in _TYPICAL_S.items():
        prediction = history.predict(kind, typical_s)
        if prediction is not None:
            p50, p90 = prediction.quantile(0.5), prediction.quantile(0.9)
            found[size] = Normal(round(p50, 3), round(p90, 3), "normal", history.similar(kind, typical_s))
    return found


def _standing(facts: Facts, language: str) -> Standing:
    check, place = shown(facts, examine(facts)), facts.place
    if check is None:
        return Standing(normal=normal(facts))
    return Standing(
        ahead=place.count if place else None,
        at_least=place.fewest if place else 0,
        at_most=place.at_most if place else None,
        eta=expect(facts, check),
        not_before=earliest_start(facts, check),
        normal=normal(facts),
        cause=_cause(check, language),
    )


def _cause(check: Check, language: str) -> Cause:
    return Cause(
        code=check.code,
        message=say(check, language),
        since=check.since,
        observed_at=check.observed_at,
        next_update_by=next_news(check),
        evidence=check.evidence,
        wording=check.wording,
        fields=fields_of(check),
    )


def _attempts_allowed(job: Job, kinds: Kinds) -> int | None:
    kind = kinds.get(job.kind)
    return None if kind is None else kind.retry.max_attempts


async def _history(session: Session, now: datetime) -> History:
    return (await _lessons(session, now)).history


async def _lessons(session: Session, now: datetime) -> _Learned:
    """Give what was learned lately; one caller learns again while the others go on with what there is."""
    engine = session.engine.sync_engine
    known = _learned.get(engine)
    if known is not None:
        if time.monotonic() - known.at < LEARN_AGAIN_AFTER_S:
            return known
        _learned[engine] = replace(known, at=time.monotonic())
    history = learn(await store.finished(session), now)
    history = with_running(history, [one.job for one in await store.running(session) if _moves(one, history)])
    found = {of: margins(cases) for of, cases in (await scores.cases(session)).items()}
    known = _Learned(time.monotonic(), history, {of: one for of, one in found.items() if one is not None})
    _learned[engine] = known
    return known


def _moves(runs: store.Runs, history: History) -> bool:
    """Tell whether a running job gets on: how long one takes that hangs says nothing of others."""
    job = runs.job
    return runs.silent_s <= patience_s(runs.gap_s, job.predicted_s, history.predict(job.kind, job.predicted_s))
