"""What holds a whole lane, or all jobs of a customer: asked of the same rules as single jobs are, kept when it changes.

The rules are asked about a job that stands for all that may wait in a lane: the last one, behind everything released.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.diagnosis.model import waiting
from invoicing.diagnosis.model.account import EVERYWHERE, Condition, customer_scope
from invoicing.diagnosis.model.check import Check, Code
from invoicing.diagnosis.model.facts import SETTLED_FOR, Snapshot, facts_of
from invoicing.jobs.model import Job, State
from invoicing.lanes.model import LANES, Lane
from invoicing.lanes.model.line import Ahead

BLIND_AFTER = timedelta(seconds=10)
"""Between two looks further apart nobody watched: nothing is said of the time between."""

_SILENT_BEFORE = timedelta(seconds=8)
"""What was alive at the last look may have been silent for so long."""

_PROVEN_BEFORE = frozenset({Code.NO_WORKER, Code.LOOP_BLOCKED, Code.UNDELIVERED})
"""Causes whose rules prove when they began; all others count from the look that found them."""

_TOLD = frozenset(
    {"workers", "last_seen", "last_loop_beat_at", "released_at", "looked_at", "slots", "running", "limit"}
)
"""Of their evidence what concerns every job, and not the one that was asked about."""

_NOBODY = UUID(int=0)
_NO_KIND = ""

Key = tuple[str, Code]


@dataclass(frozen=True)
class Changes:
    """What began, and what ended when; each was still seen at its end."""

    opened: Sequence[Condition]
    closed: Mapping[Key, datetime]


def key_of(condition: Condition) -> Key:
    """Name a condition: a scope has each cause at most once at a time."""
    return condition.scope, condition.cause


def observed(snapshot: Snapshot, looked_before: datetime | None) -> tuple[Condition, ...]:
    """Find every condition that holds now; `looked_before` is when somebody looked last, None after a gap."""
    floor = snapshot.now if looked_before is None else looked_before - _SILENT_BEFORE
    return tuple(
        Condition(
            check.cause.code,
            check.scope,
            _since(check.cause, snapshot.now),
            evidence={name: value for name, value in check.cause.evidence.items() if name in _TOLD},
            spares=check.spares,
        )
        for check in (*_of_lanes(snapshot, floor), *_of_customers(snapshot, floor))
    )


def changed(
    known: Collection[Condition], seen: Collection[Condition], held_at: Mapping[Key, datetime], now: datetime
) -> Changes:
    """Compare what is kept as holding with what holds; `held_at` says when each was seen last.

    What is not seen for a moment only is not over: a lane whose slots are all busy has one free between two jobs.
    """
    found = {key_of(one): one for one in seen}
    closed = {}
    for one in known:
        key = key_of(one)
        if key not in found:
            if now - held_at[key] >= SETTLED_FOR:
                closed[key] = held_at[key]
        elif found[key].spares != one.spares:
            closed[key] = now
    stays = {key_of(one) for one in known} - closed.keys()
    opened = [replace(one, since=now) if key in closed else one for key, one in found.items() if key not in stays]
    return Changes(opened, closed)


def unwatched(since: datetime, until: datetime) -> Condition:
    """Say of a time that nobody watched."""
    return Condition(Code.UNEXPLAINED, EVERYWHERE, since, until, {"watched": False})


@dataclass(frozen=True)
class _Found:
    scope: str
    cause: Check
    spares: frozenset[str] = frozenset()


def _of_lanes(snapshot: Snapshot, floor: datetime) -> Iterator[_Found]:
    released = sum(len(tickets) for tickets in snapshot.runways.values())
    for lane in LANES:
        facts = facts_of(snapshot, _last(lane, floor), None)
        offered = frozenset(kind for worker in facts.serving for kind in worker.kinds)
        for rule in (waiting.no_worker, waiting.no_capable_worker, waiting.all_loops_blocked):
            check = rule(facts)
            if check.holds:
                yield _Found(lane.name, check, offered if check.code is Code.NO_CAPABLE_WORKER else frozenset())
        if offered:
            behind = Ahead(max(0, released - facts.free))
            able = replace(facts, job=replace(facts.job, kind=min(offered)), place=behind)
            checks = (rule(able) for rule in (waiting.undelivered, waiting.lane_saturated, waiting.not_handed_out))
            yield from (_Found(lane.name, check) for check in checks if check.holds)


def _of_customers(snapshot: Snapshot, floor: datetime) -> Iterator[_Found]:
    for customer_id in sorted(snapshot.caps):
        facts = facts_of(snapshot, replace(_last(LANES[0], floor), customer_id=customer_id), None)
        check = waiting.customer_limit(facts)
        if check.holds:
            yield _Found(customer_scope(customer_id), check)


def _since(check: Check, now: datetime) -> datetime:
    return check.since if check.code in _PROVEN_BEFORE and check.since is not None else now


def _last(lane: Lane, since: datetime) -> Job:
    """Make the job that stands for all that wait in a lane, of a kind that nobody offers."""
    return Job(
        id=_NOBODY, customer_id=_NOBODY, kind=_NO_KIND, reference=None, priority=lane.priority, size=lane.size,
        predicted_s=0.0, state=State.QUEUED, revision=1, attempt=0, failures=0, due_at=since, order_at=since,
        released_at=None, submitted_at=since, started_at=None, finished_at=None, deadline=None, promise_due=since,
        lease_until=None, worker_id=None, cancel_requested_at=None, irrevocable=False, progress_done=None,
        progress_total=None, progress_unit=None, progressed_at=None, result=None, error=None, webhook=None,
        key_id=_NOBODY, estimated_s=None, parked_at=None,
    )  # fmt: skip
