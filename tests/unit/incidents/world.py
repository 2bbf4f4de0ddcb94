"""A service in virtual time, as the rules see it: workers, jobs, and those who look for incidents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop
from uuid import UUID

from invoicing.diagnosis.model.account import Condition
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.conditions import BLIND_AFTER, Key, changed, key_of, observed
from invoicing.diagnosis.model.running import QUIET_S
from invoicing.incidents.keeping import due_now
from invoicing.incidents.looking import Look
from invoicing.incidents.model import aftermath, findings
from invoicing.incidents.model.aftermath import Ended, Late
from invoicing.incidents.model.causes import FAILED_WITHIN, Cause
from invoicing.incidents.model.course import REOPENS_WITHIN
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
from invoicing.incidents.model.incident import ChangeKind, Finding, Incident
from invoicing.incidents.model.promises import of_promises
from invoicing.lanes.model import BY_NAME, Lane

from .service import Service, at
from .tasks import Opened, Task

_BEATS_S, _LEASE_S, _DEAD_S = 2.0, 10.0, 8.0
_CALM_S = 60.0
_JUST_NOW = timedelta(minutes=1)
_PROMISE_S = 3_600.0
_ALERTING = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED})
_NEEDS_SIGHT = frozenset({Cause.NO_WORKER, Cause.NO_CAPABLE_WORKER, Cause.UNDELIVERED, Cause.UNEXPLAINED})
_HOLDING = frozenset({Code.NO_WORKER, Code.UNDELIVERED, Code.LOOP_BLOCKED})


@dataclass
class World(Service):
    """The service, and those who look for incidents in it."""

    @property
    def live(self) -> list[Incident]:
        """List the incidents that are not over."""
        return [one for one in self.incidents.values() if one.live]

    def run(self, until_s: float) -> None:
        """Let time go by."""
        while self.now_s < until_s:
            self.now_s = self._next_s(until_s)
            while self.events and self.events[0][0] <= self.now_s:
                heappop(self.events)[2]()
            self.lose()
            self.dispatch()
            self._look()

    def _next_s(self, until_s: float) -> float:
        step_s = _CALM_S if self._calm else 1.0
        event_s = self.events[0][0] if self.events else until_s
        return min(until_s, self.now_s + step_s, max(event_s, self.now_s + 0.001))

    @property
    def _calm(self) -> bool:
        ill = any(one.silent_s is not None or one.blocked_s is not None for one in self.hosts.values())
        held = any(one.cause in _HOLDING for one in self.conditions)
        stands = self.handed_out_until_s is not None or self.blind_s is not None
        stands = stands or any(one.stalled_s is not None for one in self.running)
        return not (self.waiting or ill or held or stands or self.live)

    # --- those who look

    def _look(self) -> None:
        self.looks += 1
        now = at(self.now_s)
        if self.blind_s is None:
            seen = observed(self.snapshot(), now - timedelta(seconds=1))
            held = {key_of(one): max(self.held_at.get(key_of(one), one.since), one.since) for one in self.conditions}
            changes = changed(self.conditions, seen, held, now)
            self.past = [*self._past(changes.closed)]
            self.conditions = [one for one in self.conditions if key_of(one) not in changes.closed]
            self.conditions += changes.opened
            self.held_at = {**held, **dict.fromkeys(map(key_of, seen), now)}
        looked_at = now if self.blind_s is None else at(self.blind_s)
        blind = now - looked_at > BLIND_AFTER
        found = [*findings.blind(looked_at, now, BLIND_AFTER), *self._found(blind=blind)]
        late = [*self._late()]
        promises = findings.with_promises(found, [*map(_broken, late)], ())
        incidents = [*self.incidents.values()]
        of_others = {(one.lane, one.kind, one.running) for one in promises.left}
        left = [one for one in late if (one.lane, one.kind, one.running_since is not None) in of_others]
        charges = aftermath.charged(aftermath.spans(incidents, now), left, now)
        missed = of_promises(charges.left, (), self._scopes(Cause.PROMISES_MISSED))
        looked_for = frozenset(Cause) - (_NEEDS_SIGHT if blind else frozenset())
        charged = [one for one in incidents if one.id in charges.blasts]
        self._keep(Look([*promises.findings, *missed], looked_for, charges.blasts, charged), now)

    def _past(self, closed: Mapping[Key, datetime]) -> Iterator[Condition]:
        """Give the conditions that are just over."""
        yield from (one for one in self.past if one.until is not None and at(self.now_s) - one.until < _JUST_NOW)
        for one in self.conditions:
            if key_of(one) in closed:
                yield replace(one, until=closed[key_of(one)])

    def _found(self, *, blind: bool) -> Iterator[Finding]:
        if not blind:
            yield from self._of_lanes()
            stuck = [*self._shown(self._first_of_lanes(), Code.UNEXPLAINED)]
            ended = [Ended(one.scope, one.until, one.spares) for one in self.past if one.until is not None]
            incidents = [*self.incidents.values()]
            yield from findings.of_unexplained(aftermath.unexplained(stuck, ended, incidents, at(self.now_s)))
        yield from findings.of_hosts(self.workers(), self._in_hand(), at(self.now_s))
        quiet = [one for one in self.running if self.now_s - one.sign_s(self.now_s) > QUIET_S]
        yield from findings.of_jobs_without_progress(self._shown(quiet, Code.NO_PROGRESS))
        yield from findings.of_failures(self._failures(), self._scopes(Cause.DEPENDENCY_DOWN))
        yield from findings.of_quarantine(
            Quarantine(task.kind, 1, 1, at(when_s), at(when_s)) for task, when_s in self.dead
        )
        yield from findings.of_refusals(
            Refusal(UUID(int=customer + 1), 1, 1, at(since_s), at(self.now_s + 60))
            for customer, since_s in self.refusing.items()
        )

    def _of_lanes(self) -> Iterator[Finding]:
        held = [
            Held(BY_NAME[one.scope], one.cause, one.since, one.evidence, one.spares)
            for one in self.conditions
            if one.scope in BY_NAME
        ]
        backlog, everything = _backlogs(self.waiting)
        if not everything.jobs:
            return
        oldest = {lane: at(min(one.submitted_s for one in self.waiting if one.lane == lane)) for lane in backlog}
        runways = [OnRunway(one.lane, one.kind, 1, 1) for one in self.waiting if one.released_s is not None]
        yield from findings.of_lanes(findings.claimable(held, runways), backlog, everything, oldest)
        yield from findings.of_kinds_nobody_offers(held, runways)

    def _first_of_lanes(self) -> list[Task]:
        """Pick the oldest job of each lane that nothing holds."""
        held = {one.scope for one in self.conditions if one.cause is not Code.NO_CAPABLE_WORKER}
        first: dict[Lane, Task] = {}
        for task in self.waiting:
            if task.lane.name not in held:
                first.setdefault(task.lane, task)
        return [*first.values()]

    def _in_hand(self) -> Mapping[UUID, InHand]:
        hands: dict[UUID, list[Task]] = {}
        for task in self.running:
            if task.host in self.hosts:
                hands.setdefault(self.hosts[task.host].worker_id, []).append(task)
        for task in self.waiting:
            if task.lost_by is not None:
                hands.setdefault(task.lost_by, []).append(task)
        return {
            worker: InHand(
                worker, len(ones), len({one.customer for one in ones}), at(min(one.submitted_s for one in ones)),
                at(self.now_s + _LEASE_S),
            )
            for worker, ones in hands.items()
        }  # fmt: skip

    def _failures(self) -> Iterator[Failures]:
        floor_s = self.now_s - FAILED_WITHIN.total_seconds()
        self.well = [one for one in self.well if one[1] > floor_s]
        self.failed = [one for one in self.failed if one[2] > floor_s or one[0].error is not None]
        groups: dict[tuple[str, str], list[tuple[Task, float]]] = {}
        for task, error, when_s in self.failed:
            groups.setdefault((task.kind, error), []).append((task, when_s))
        for (kind, error), ones in groups.items():
            lately = [task for task, when_s in ones if when_s > floor_s]
            yield Failures(
                kind, error, len(lately), len({task.customer for task, _ in ones}),
                len({task.id for task, _ in ones if task.error == error}), at(min(when for _, when in ones)),
                at(max(when for _, when in ones)), sum(one == kind for one, _ in self.well),
            )  # fmt: skip

    def _late(self) -> Iterator[Late]:
        for task in (*self.waiting, *self.running):
            due_s = task.submitted_s + (3 * task.takes_s + _PROMISE_S if task.promise_s is None else task.promise_s)
            if due_s < self.now_s:
                yield Late(
                    task.id, task.customer_id, task.kind, task.lane, True, at(due_s), at(due_s), at(task.submitted_s),
                    at(task.started_s) if task.attempt else None, None if task.host is None else at(task.started_s),
                    self.hosts[task.host].worker_id if task.host in self.hosts else None,
                    frozenset() if task.lost_by is None else frozenset({task.lost_by}), task.error,
                )  # fmt: skip

    def _shown(self, tasks: Sequence[Task], code: Code) -> Iterator[Stuck]:
        for task in tasks:
            facts = self.facts(task)
            check = shown(facts, examine(facts))
            if check is not None and check.code is code:
                since = check.since or check.observed_at
                yield Stuck(task.id, task.customer_id, task.kind, task.lane, since, at(task.submitted_s))

    def _scopes(self, cause: Cause) -> set[str]:
        return {one.scope for one in self.live if one.cause is cause}

    def _keep(self, look: Look, now: datetime) -> None:
        known = [one for one in self.incidents.values() if one.live or now - (one.resolved_at or now) < REOPENS_WITHIN]
        for due in due_now(known, look, now):
            revision = (due.was or 0) + len(due.step.changes)
            incident = replace(due.step.incident, revision=revision)
            self.incidents[incident.id] = incident
            if any(change.kind in _ALERTING for change in due.step.changes):
                self.opened.append(Opened(self.now_s, incident.cause, incident.scope, incident.severity))


def _broken(late: Late) -> Broken:
    return Broken(late.lane, late.kind, late.running_since is not None, 1, 0, 1, late.due)


def _backlogs(waiting: Sequence[Task]) -> tuple[dict[Lane, Backlog], Backlog]:
    lanes: dict[Lane, list[Task]] = {}
    for task in waiting:
        lanes.setdefault(task.lane, []).append(task)
    counted = {lane: Backlog(len(ones), len({one.customer for one in ones})) for lane, ones in lanes.items()}
    return counted, Backlog(len(waiting), len({one.customer for one in waiting}))
