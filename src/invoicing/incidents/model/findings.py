"""From facts to findings: what was read is grouped by cause and scope, and each group knows whom it touches."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from invoicing.incidents.model import causes
from invoicing.incidents.model.causes import (
    EVERYWHERE,
    FAILED_CUSTOMERS,
    FAILED_JOBS,
    Cause,
)
from invoicing.incidents.model.facts import (
    Backlog,
    Broken,
    Failures,
    Held,
    InHand,
    OnRunway,
    Quarantine,
    Refusal,
    Stuck,
)
from invoicing.incidents.model.incident import Blast, Finding, Reach
from invoicing.lanes.model import LANES, Lane, Worker

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_HOLDING_LANES = frozenset({Cause.NO_WORKER, Cause.UNDELIVERED})
"""Conditions of lanes that are incidents as they are; what holds hosts and kinds is told apart by those."""

_HOLDING_NO_JOBS = frozenset(
    {Cause.UNDELIVERED_RESULT, Cause.POISON, Cause.WATCHDOG_BLIND, Cause.PROMISES_MISSED, Cause.NOBODY_ON_DUTY}
)
"""Why no job stands still: no promise is charged to these."""

_OTHERWISE_HEALED = timedelta(seconds=30)
"""By when the jobs of a lost worker should go on, from the end of its lease."""


def of_lanes(
    held: Sequence[Held],
    backlog: Mapping[Lane, Backlog],
    everything: Backlog,
    oldest: Mapping[Lane, datetime],
    paused: Collection[str] = (),
) -> Iterator[Finding]:
    """Find what holds lanes in which something waits; what holds all lanes alike is one cause, not twelve.

    It counts from when something waited for it. A lane that somebody paused is that person's decision.
    """
    for cause, ones in _grouped((one for one in held if one.cause in _HOLDING_LANES), lambda one: one.cause).items():
        waiting = [
            replace(one, since=max(one.since, oldest.get(one.lane, one.since)))
            for one in ones
            if backlog.get(one.lane, Backlog(0, 0)).jobs > 0 and one.lane.name not in paused
        ]
        if waiting and len({one.lane for one in ones}) == len(LANES):
            yield Finding(
                Cause(cause),
                EVERYWHERE,
                min(one.since for one in waiting),
                {"lanes": sorted(one.lane.name for one in waiting)},
                Blast(everything.jobs, everything.customers, oldest=min(oldest.values(), default=None)),
            )
            continue
        for one in waiting:
            yield Finding(
                Cause(cause),
                causes.lane_scope(one.lane.name),
                one.since,
                dict(one.evidence),
                Blast(backlog[one.lane].jobs, backlog[one.lane].customers, oldest=oldest.get(one.lane)),
                Reach(lanes=frozenset({one.lane.name})),
            )


def claimable(held: Iterable[Held], runways: Iterable[OnRunway]) -> list[Held]:
    """Leave out lanes that are called undelivered though nobody is there who could claim what lies there.

    That lasts a moment longer than it is seen: what nobody claims while its workers fall silent is theirs alone.
    """
    held, lying = list(held), _grouped(runways, lambda one: one.lane)
    offers = {one.lane: one.spares for one in held if one.cause == Cause.NO_CAPABLE_WORKER}

    deserted = {one.lane for one in held if one.cause == Cause.NO_WORKER}

    def can_be(one: Held) -> bool:
        if one.cause == Cause.UNDELIVERED and one.lane in deserted:
            return False
        if one.cause != Cause.UNDELIVERED or "released_at" not in one.evidence or one.lane not in lying:
            return True
        return one.lane not in offers or any(other.kind in offers[one.lane] for other in lying[one.lane])

    return [one for one in held if can_be(one)]


def of_kinds_nobody_offers(held: Sequence[Held], runways: Sequence[OnRunway]) -> Iterator[Finding]:
    """Find kinds of which a job should start in a lane whose workers do not offer them."""
    spared = {one.lane: one for one in held if one.cause == Cause.NO_CAPABLE_WORKER}
    unoffered = (one for one in runways if one.lane in spared and one.kind not in spared[one.lane].spares)
    for kind, ones in _grouped(unoffered, lambda one: one.kind).items():
        lanes = frozenset(one.lane.name for one in ones)
        yield Finding(
            Cause.NO_CAPABLE_WORKER,
            causes.kind_scope(kind),
            min(spared[one.lane].since for one in ones),
            {"kind": kind, "lanes": sorted(lanes)},
            Blast(sum(one.jobs for one in ones), max(one.customers for one in ones), at_least=True),
            Reach(kinds=frozenset({kind})),
        )


def of_hosts(workers: Sequence[Worker], held: Mapping[UUID, InHand], now: datetime) -> Iterator[Finding]:
    """Find hosts whose workers fell silent with jobs in their hands, or whose event loops stand still."""
    silent = [one for one in workers if not one.alive and one.id in held]
    blocked = [one for one in workers if one.alive and not one.stopping and now - one.loop_beat_at > one.alive_for]
    for host, ones in _by_host(silent).items():
        hands = [held[one.id] for one in ones]
        yield Finding(
            Cause.WORKER_LOST,
            causes.host_scope(host),
            min(one.beat_at for one in ones),
            _of_workers(ones),
            _in_hands(hands),
            Reach(workers=frozenset(one.id for one in ones)),
            estimate=max(one.latest for one in hands) + _OTHERWISE_HEALED,
            latest=max(one.beat_at for one in ones),
        )
    for host, ones in _by_host(blocked).items():
        yield Finding(
            Cause.LOOP_BLOCKED,
            causes.host_scope(host),
            min(one.loop_beat_at for one in ones),
            _of_workers(ones),
            _in_hands([held[one.id] for one in ones if one.id in held]),
            Reach(
                lanes=frozenset(lane for one in ones for lane in one.lanes),
                workers=frozenset(one.id for one in ones),
            ),
        )


def of_jobs_without_progress(stuck: Iterable[Stuck]) -> Iterator[Finding]:
    """Find kinds of which running jobs show no sign for longer than their bound."""
    for kind, ones in _grouped(stuck, lambda one: one.kind).items():
        reach = Reach(kinds=frozenset({kind}))
        yield _of_jobs(Cause.NO_PROGRESS, causes.kind_scope(kind), ones, {"kind": kind}, reach)


def of_unexplained(stuck: Iterable[Stuck]) -> Iterator[Finding]:
    """Find lanes of which jobs wait or run and nothing proves why."""
    for lane, ones in _grouped(stuck, lambda one: one.lane.name).items():
        reach = Reach(lanes=frozenset({lane}))
        found = _of_jobs(Cause.UNEXPLAINED, causes.lane_scope(lane), ones, {"lane": lane}, reach)
        yield replace(found, blast=replace(found.blast, at_least=True))


def of_failures(failures: Iterable[Failures], known: Collection[str]) -> Iterator[Finding]:
    """Find errors with which jobs of several customers fail, and no fewer than succeed.

    What is known by its scope already goes on while a job waits to be tried again after it.
    """
    for one in failures:
        scope = causes.kind_scope(one.kind, one.error)
        lately = one.jobs >= max(FAILED_JOBS, one.succeeded) and one.customers >= FAILED_CUSTOMERS
        if lately or (scope in known and one.waiting):
            yield Finding(
                Cause.DEPENDENCY_DOWN,
                scope,
                one.first,
                {"kind": one.kind, "error": one.error, "succeeded": one.succeeded, "latest": one.latest},
                Blast(max(one.jobs, one.waiting), one.customers),
                Reach(kinds=frozenset({one.kind}), error=one.error),
                latest=one.latest,
            )


def nobody_on_duty(waiting: Sequence[UUID], until: datetime | None, now: datetime) -> Finding:
    """Find that incidents call, and nobody is on duty before a time."""
    evidence = {"incidents": list(waiting), "next_on_duty_at": until}
    return Finding(Cause.NOBODY_ON_DUTY, EVERYWHERE, now, evidence, estimate=until)


def of_quarantine(quarantines: Iterable[Quarantine]) -> Iterator[Finding]:
    """Find kinds of which jobs are under quarantine."""
    for one in quarantines:
        yield Finding(
            Cause.POISON,
            causes.kind_scope(one.kind),
            one.first,
            {"kind": one.kind, "latest": one.latest},
            Blast(one.jobs, one.customers, oldest=one.first, at_least=one.at_least),
            Reach(kinds=frozenset({one.kind})),
            latest=one.latest,
        )


def of_refusals(refusals: Iterable[Refusal]) -> Iterator[Finding]:
    """Find customers whose endpoints take nothing."""
    for one in refusals:
        yield Finding(
            Cause.UNDELIVERED_RESULT,
            causes.customer_scope(one.customer_id),
            one.since,
            {"endpoints": one.endpoints, "messages": one.messages, "next_try_at": one.next_try_at},
            Blast(one.messages, 1, oldest=one.since, at_least=one.at_least),
            Reach(customers=frozenset({one.customer_id})),
            estimate=one.next_try_at,
        )


def blind(looked_at: datetime, now: datetime, blind_after: timedelta) -> Iterator[Finding]:
    """Find that nobody has looked at the lanes for too long: what is said of them may not be true any more."""
    if now - looked_at > blind_after:
        yield Finding(Cause.WATCHDOG_BLIND, EVERYWHERE, looked_at, {"looked_at": looked_at})


@dataclass(frozen=True)
class Promises:
    """The findings with the promises that each breaks, and those that none of them breaks."""

    findings: Sequence[Finding]
    left: Sequence[Broken] = field(default_factory=tuple)


def with_promises(findings: Sequence[Finding], broken: Iterable[Broken], paused: Collection[str]) -> Promises:
    """Charge promises that are missed or at risk to what holds their jobs.

    A lane that somebody paused is that person's decision.
    """
    charged, left = list(findings), []
    for one in broken:
        place = _charged_to(charged, one)
        if place is not None:
            charged[place] = replace(charged[place], blast=_charged(charged[place].blast, one))
        elif one.lane.name not in paused:
            left.append(one)
    return Promises(charged, left)


def _charged_to(findings: Sequence[Finding], broken: Broken) -> int | None:
    """Choose what broke promises; of jobs of a lost worker it is that no other serves their lane, where that is so."""
    holding = [index for index, finding in enumerate(findings) if _holds(finding, broken)]
    lost = any(findings[index].cause is Cause.WORKER_LOST for index in holding)
    waits = replace(broken, running=False)
    nobody = [
        index for index, finding in enumerate(findings)
        if lost and finding.cause is Cause.NO_WORKER and _holds(finding, waits)
    ]  # fmt: skip
    return next(iter((*nobody, *holding)), None)


def _holds(finding: Finding, broken: Broken) -> bool:
    """Tell whether a finding is why jobs stand still: what holds lanes those that wait, what holds workers the rest."""
    reach = finding.reach
    if broken.decided or finding.cause in _HOLDING_NO_JOBS:
        return False
    if broken.running != (finding.cause in {Cause.NO_PROGRESS, Cause.WORKER_LOST, Cause.LOOP_BLOCKED}):
        return False
    if reach.needs is not None and reach.needs not in broken.needs.split():
        return False
    lanes = reach.lanes is None or broken.lane.name in reach.lanes
    return lanes and (reach.kinds is None or broken.kind in reach.kinds) and broken.kind not in reach.spares


def _charged(blast: Blast, broken: Broken) -> Blast:
    return replace(
        blast,
        promises_missed=blast.promises_missed + broken.missed,
        promises_at_risk=blast.promises_at_risk + broken.at_risk,
        customers=max(blast.customers, broken.customers),
        at_least=blast.at_least or broken.at_least,
    )


def _of_jobs(cause: Cause, scope: str, ones: Sequence[Stuck], evidence: Mapping[str, Any], reach: Reach) -> Finding:
    blast = Blast(len(ones), len({one.customer_id for one in ones}), oldest=min(one.submitted_at for one in ones))
    return Finding(cause, scope, min(one.since for one in ones), evidence, blast, reach)


def _of_workers(ones: Sequence[Worker]) -> Mapping[str, Any]:
    return {
        "workers": [one.id for one in ones],
        "builds": sorted({one.build for one in ones}),
        "lanes": sorted({lane for one in ones for lane in one.lanes}),
        "last_beat_at": max(one.beat_at for one in ones),
        "last_loop_beat_at": max(one.loop_beat_at for one in ones),
    }


def _in_hands(hands: Sequence[InHand]) -> Blast:
    return Blast(
        sum(one.jobs for one in hands),
        max((one.customers for one in hands), default=0),
        oldest=min((one.oldest for one in hands), default=None),
    )


def _by_host(workers: Iterable[Worker]) -> dict[str, list[Worker]]:
    return _grouped(workers, lambda one: one.host)


def _grouped(ones: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    found: dict[K, list[T]] = {}
    for one in ones:
        found.setdefault(key(one), []).append(one)
    return found
