"""What an incident is behind beside what is seen to hold now: jobs that it held up while it lasted, and a while after.

An incident has no list of its jobs. Which it held up follows from when it lasted and from what a job went through: so
an outage is told once, and neither the promises that it breaks while its backlog is worked off nor a moment in which
nothing is proven yet is told as a second one.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.incidents.model.causes import EVERYWHERE, Cause, customer_scope
from invoicing.incidents.model.course import HOLD_DOWN
from invoicing.incidents.model.facts import Stuck
from invoicing.incidents.model.incident import Blast, Incident
from invoicing.lanes.model import Lane

EDGE = timedelta(seconds=30)
"""How far apart facts about one moment may lie: silence is proven after some beats, promises are looked at in turns."""

DELAYS = 2
"""Where workers suffice, what waits behind an outage comes later by no more than that lasted. Twice as much is borne
with, as the order is fair and not that of arrival, and work is begun again; what is later still has another cause."""

_HOLDS_WAITING = frozenset(
    {
        Cause.NO_WORKER,
        Cause.NO_CAPABLE_WORKER,
        Cause.LOOP_BLOCKED,
        Cause.UNDELIVERED,
        Cause.DEPENDENCY_DOWN,
        Cause.UNEXPLAINED,
    }
)
"""Why jobs that wait stand still."""

_HOLDS_RUNNING = frozenset({Cause.WORKER_LOST, Cause.LOOP_BLOCKED, Cause.NO_PROGRESS})
"""Why work that had begun stands still, or has to be done again."""

_PROVES_NOTHING = frozenset({Cause.UNEXPLAINED})


@dataclass(frozen=True)
class Late:
    """An unfinished job whose promise is missed or at risk, and what it went through."""

    job_id: UUID
    customer_id: UUID
    kind: str
    lane: Lane
    missed: bool
    due: datetime
    told_at: datetime
    """When it was noticed how its promise stands."""
    submitted_at: datetime
    started_at: datetime | None = None
    """When its first attempt began."""
    running_since: datetime | None = None
    """When the attempt began that runs; None: it waits."""
    worker_id: UUID | None = None
    lost_by: frozenset[UUID] = frozenset()
    """The workers that were lost with it."""
    error: str | None = None
    """The code with which its last attempt failed."""
    needs: str = ""
    """What it needs from outside, by name."""
    decided: bool = False
    """Whether it waits for a reviewer, or for a place in a quota: no fault holds it."""


@dataclass(frozen=True)
class Span:
    """An incident, or a part of one, with the time for which it lasted; what it breaks is charged to the whole."""

    of: Incident
    whole: Incident
    until: datetime

    @property
    def length(self) -> timedelta:
        """How long it lasted."""
        return max(timedelta(0), self.until - self.of.since)


@dataclass(frozen=True)
class Ended:
    """Something that held a lane, a customer's jobs or all of them, and is over."""

    scope: str
    at: datetime
    spares: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Charges:
    """Promises that incidents broke, by their ids; and those of which none is why."""

    blasts: Mapping[UUID, Blast]
    left: Sequence[Late]


def spans(incidents: Iterable[Incident], now: datetime) -> list[Span]:
    """Say for how long each incident that holds jobs lasted, or lasts; the worst first, of several the longest.

    Whoever was told of the worst learns nothing new when it grows worse; of one that called nobody they would.
    """
    by_id = {one.id: one for one in incidents}
    found = [
        Span(one, whole, _until(whole, now))
        for one, whole in ((one, by_id.get(one.merged_into or one.id, one)) for one in by_id.values())
        if one.cause in _HOLDS_WAITING | _HOLDS_RUNNING
    ]
    return sorted(found, key=lambda span: (span.whole.severity, -span.length))


def _until(incident: Incident, now: datetime) -> datetime:
    return incident.resolved_at or incident.quiet_since or now


def charged(known: Sequence[Span], late: Iterable[Late], now: datetime) -> Charges:
    """Charge each promise to the first incident of those that held its job up."""
    found: dict[UUID, list[Late]] = {}
    left = []
    for one in late:
        span = next((span for span in known if explains(span, one, now)), None)
        if span is None:
            left.append(one)
        else:
            found.setdefault(span.whole.id, []).append(one)
    return Charges({incident_id: blast_of(ones) for incident_id, ones in found.items()}, left)


def blast_of(late: Collection[Late]) -> Blast:
    """Count jobs whose promise is missed or at risk."""
    return Blast(
        jobs=len(late),
        customers=len({one.customer_id for one in late}),
        promises_at_risk=sum(not one.missed for one in late),
        promises_missed=sum(one.missed for one in late),
        oldest=min((one.submitted_at for one in late), default=None),
    )


def with_charges(blast: Blast, charges: Blast) -> Blast:
    """Add promises to what a cause touches that is seen to hold: their jobs are among those, or went on already."""
    return replace(
        blast,
        customers=max(blast.customers, charges.customers),
        promises_at_risk=blast.promises_at_risk + charges.promises_at_risk,
        promises_missed=blast.promises_missed + charges.promises_missed,
        at_least=blast.at_least or charges.at_least,
    )


def explains(span: Span, late: Late, now: datetime) -> bool:
    """Tell whether an incident is why a promise breaks: it held the job up, and long enough to make it so late."""
    if late.decided or late.due < span.of.since - EDGE or now - late.due > DELAYS * span.length + 2 * EDGE:
        return False
    if not _may_reach(span.of, late) or span.of.reach.error not in {
        None,
        late.error,
    }:
        return False
    return _waited(span, late) or _was_held(span, late)


def _waited(span: Span, late: Late) -> bool:
    """Tell whether a job waited for it, or behind what had waited for it."""
    if span.of.cause not in _HOLDS_WAITING or not _one_of(late.lane.name, span.of.reach.lanes):
        return False
    began = late.running_since
    return late.submitted_at < span.until + span.length and (began is None or began > span.of.since)


def _was_held(span: Span, late: Late) -> bool:
    """Tell whether work on a job stood still for it, or was lost."""
    cause, workers = span.of.cause, span.of.reach.workers or frozenset()
    if cause not in _HOLDS_RUNNING or late.started_at is None or late.started_at >= span.until:
        return False
    return cause is Cause.NO_PROGRESS or late.worker_id in workers or not workers.isdisjoint(late.lost_by)


def unexplained(
    stuck: Iterable[Stuck], ended: Sequence[Ended], incidents: Sequence[Incident], now: datetime
) -> list[Stuck]:
    """Leave out jobs for which an incident stands, and count the others from the end of what had held them.

    A rule that proves nothing for a moment, after minutes in which another did, proves no standstill of minutes.
    """
    found = []
    for one in stuck:
        standing = [_stands_until(incident, now) for incident in incidents if _stands_for(incident, one)]
        over = [each.at for each in ended if _held(each, one)]
        since = max([one.since, *standing, *over])
        if not standing or max(standing) < now:
            found.append(replace(one, since=min(since, now)))
    return found


def _stands_for(incident: Incident, stuck: Stuck) -> bool:
    if incident.cause is Cause.WATCHDOG_BLIND:
        return True
    if incident.cause not in _HOLDS_WAITING - _PROVES_NOTHING:
        return False
    return _may_reach(incident, stuck) and _one_of(stuck.lane.name, incident.reach.lanes)


def _stands_until(incident: Incident, now: datetime) -> datetime:
    """Say until when an incident stands for what it holds: while its cause is seen, and for a hold-down after."""
    if incident.resolved_at is not None:
        return min(incident.resolved_at, now)
    return now if incident.quiet_since is None else min(now, incident.quiet_since + HOLD_DOWN)


def _held(ended: Ended, stuck: Stuck) -> bool:
    scopes = {stuck.lane.name, customer_scope(stuck.customer_id), EVERYWHERE}
    return ended.scope in scopes and stuck.kind not in ended.spares


def _may_reach(incident: Incident, job: Late | Stuck) -> bool:
    """Tell whether a job may be one that an incident reaches; only what holds everything reaches without a bound."""
    reach = incident.reach
    bounds = (reach.lanes, reach.kinds, reach.customers, reach.workers, reach.needs)
    if incident.scope != EVERYWHERE and all(one is None for one in bounds):
        return False
    if reach.needs is not None and reach.needs not in job.needs.split():
        return False
    return _one_of(job.kind, reach.kinds) and job.kind not in reach.spares and _one_of(job.customer_id, reach.customers)


def _one_of(value: object, allowed: Collection[object] | None) -> bool:
    return allowed is None or value in allowed
