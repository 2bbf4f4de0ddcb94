"""A service in virtual time, as the rules see it: workers, jobs, and those who look for incidents."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from math import floor
from uuid import UUID

from invoicing.diagnosis.model.account import Condition
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.conditions import BLIND_AFTER, Key, changed, key_of, observed
from invoicing.diagnosis.model.durations import learn
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, Ticket, facts_of
from invoicing.diagnosis.model.running import QUIET_S
from invoicing.incidents.keeping import due_now
from invoicing.incidents.looking import Look
from invoicing.incidents.model import findings
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
from invoicing.incidents.model.incident import ChangeKind, Finding, Incident, Severity
from invoicing.jobs.model import Job, Priority, Size, State
from invoicing.lanes.model import BY_NAME, LANES, Lane, Worker
from invoicing.lanes.model.line import Ahead

from ..diagnosis.situations import running as any_job

_BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
_NO_ID = UUID(int=0)
_BEATS_S, _LEASE_S, _DEAD_S = 2.0, 10.0, 8.0
_RETRY_S = 15.0
_CALM_S = 60.0
_KINDS = ("drill", "register.entry")
_PROMISE_S = 3_600.0
_ALERTING = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED})
_NEEDS_SIGHT = frozenset({Cause.NO_WORKER, Cause.NO_CAPABLE_WORKER, Cause.UNDELIVERED, Cause.UNEXPLAINED})
_HOLDING = frozenset({Code.NO_WORKER, Code.UNDELIVERED, Code.LOOP_BLOCKED})


def at(seconds: float) -> datetime:
    """Give a moment of virtual time."""
    return _BEGAN + timedelta(seconds=seconds)


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128))


@dataclass(frozen=True)
class Opened:
    """An incident that somebody is told of."""

    at_s: float
    cause: Cause
    scope: str
    severity: Severity


@dataclass(eq=False)
class Task:
    """A job of the simulation."""

    customer: int
    kind: str
    lane: Lane
    takes_s: float
    fails: str | None = None
    promise_s: float | None = None
    """By when it is promised, from its submission; None: in good time."""
    id: UUID = _NO_ID
    left_s: float = 0.0
    submitted_s: float = 0.0
    due_s: float = 0.0
    released_s: float | None = None
    started_s: float = 0.0
    host: str | None = None
    lost_by: UUID | None = None
    stalled_s: float | None = None
    forgotten: bool = False
    error: str | None = None
    attempt: int = 0

    @property
    def customer_id(self) -> UUID:
        """Name its customer."""
        return UUID(int=self.customer + 1)

    def sign_s(self, now_s: float) -> float:
        """Say when it last showed that it moves."""
        seen_s = now_s if self.stalled_s is None else min(now_s, self.stalled_s)
        return self.started_s + floor((seen_s - self.started_s) / self.gap_s) * self.gap_s

    @property
    def gap_s(self) -> float:
        """Say how far its checkpoints lie apart."""
        return min(20.0, max(1.0, self.takes_s / 100))


_Made = dict[str, Task]
"""What a fault made, for its end."""


@dataclass
class _Host:
    worker_id: UUID
    slots: int
    kinds: tuple[str, ...] = _KINDS
    silent_s: float | None = None
    blocked_s: float | None = None


@dataclass
class World:
    """The service, and what is kept of its incidents."""

    chance: random.Random
    now_s: float = 0.0
    hosts: dict[str, _Host] = field(default_factory=dict)
    waiting: list[Task] = field(default_factory=list)
    running: list[Task] = field(default_factory=list)
    kinds: tuple[str, ...] = _KINDS
    handed_out_until_s: float | None = None
    """When the dispatcher stopped; None: it works."""
    blind_s: float | None = None
    """When the observer stopped; None: it works."""
    down: dict[str, str] = field(default_factory=dict)
    """Kinds whose jobs all fail, and with what."""
    failed: list[tuple[Task, str, float]] = field(default_factory=list)
    well: list[tuple[str, float]] = field(default_factory=list)
    dead: list[tuple[Task, float]] = field(default_factory=list)
    refusing: dict[int, float] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    held_at: dict[Key, datetime] = field(default_factory=dict)
    incidents: dict[UUID, Incident] = field(default_factory=dict)
    opened: list[Opened] = field(default_factory=list)
    ended: int = 0
    retried: int = 0
    waited: int = 0
    looks: int = 0
    _events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    # --- what happens

    def later(self, at_s: float, what: Callable[[], object]) -> None:
        """Have something happen."""
        heappush(self._events, (at_s, next(self._numbers), what))

    def arrive(self, at_s: float, task: Task) -> None:
        """Have a job submitted."""
        self.later(at_s, lambda: self.submit(task))

    def submit(self, task: Task) -> Task:
        """Take a job."""
        task.id, task.left_s, task.submitted_s, task.due_s = _id(self.chance), task.takes_s, self.now_s, self.now_s
        self.waiting.append(task)
        return task

    def join(self, host: str, slots: int) -> None:
        """Start a worker."""
        self.hosts[host] = _Host(_id(self.chance), slots, self.kinds)

    def leave(self, host: str) -> None:
        """End a worker: what it had goes on elsewhere from its checkpoint."""
        if self.hosts.pop(host, None) is not None:
            for task in [one for one in self.running if one.host == host]:
                task.left_s = max(0.1, task.left_s - (self.now_s - task.started_s))
                self._back(task, self.now_s)

    def block(self, host: str) -> None:
        """Let the event loop of a worker stand still."""
        self.hosts[host].blocked_s = self.now_s

    def unblock(self, host: str) -> None:
        """Let it go on."""
        if host in self.hosts:
            self.hosts[host].blocked_s = None

    def plant(self, cause: Cause, at_s: float, lasts_s: float) -> None:
        """Have a fault begin and end."""
        begin, end = _FAULTS[cause]
        state: _Made = {}
        self.later(at_s, lambda: begin(self, state))
        self.later(at_s + lasts_s, lambda: end(self, state))

    @property
    def live(self) -> list[Incident]:
        """List the incidents that are not over."""
        return [one for one in self.incidents.values() if one.live]

    def run(self, until_s: float) -> None:
        """Let time go by."""
        while self.now_s < until_s:
            self.now_s = self._next_s(until_s)
            while self._events and self._events[0][0] <= self.now_s:
                heappop(self._events)[2]()
            self._lose()
            self._dispatch()
            self._look()

    def _next_s(self, until_s: float) -> float:
        step_s = _CALM_S if self._calm else 1.0
        event_s = self._events[0][0] if self._events else until_s
        return min(until_s, self.now_s + step_s, max(event_s, self.now_s + 0.001))

    @property
    def _calm(self) -> bool:
        ill = any(one.silent_s is not None or one.blocked_s is not None for one in self.hosts.values())
        held = any(one.cause in _HOLDING for one in self.conditions)
        stands = self.handed_out_until_s is not None or self.blind_s is not None
        stands = stands or any(one.stalled_s is not None for one in self.running)
        return not (self.waiting or ill or held or stands or self.live)

    # --- the service

    def _lose(self) -> None:
        for host, one in [*self.hosts.items()]:
            if one.silent_s is not None and self.now_s - one.silent_s >= _LEASE_S:
                for task in [each for each in self.running if each.host == host]:
                    task.lost_by = one.worker_id
                    self._back(task, self.now_s + 1.0)

    def _back(self, task: Task, due_s: float) -> None:
        self.running.remove(task)
        task.host, task.released_s, task.due_s = None, None, due_s
        self.waiting.append(task)

    def _dispatch(self) -> None:
        if self.handed_out_until_s is not None:
            return
        full: set[Lane] = set()
        for task in sorted(self.waiting, key=lambda one: one.due_s):
            if task.due_s > self.now_s or task.forgotten or task.lane in full:
                continue
            if task.kind not in self.kinds:
                task.released_s = task.released_s or self.now_s
                continue
            host = self._host_for(task)
            if host is None:
                full.add(task.lane)
            else:
                self.start(task, host)

    def _host_for(self, task: Task) -> str | None:
        """Find a slot by the rules of the dispatcher, on the worker that has most of them free."""
        if facts_of(self._snapshot(), self._job(task), None).free <= 0:
            return None
        taken = Counter(one.host for one in self.running)
        able = [host for host, one in self.hosts.items() if one.blocked_s is None and self._alive(one)]
        return min(able, key=lambda host: taken[host] - self.hosts[host].slots, default=None)

    def start(self, task: Task, host: str) -> None:
        """Have a worker begin a job."""
        self.waiting.remove(task)
        self.running.append(task)
        self.waited += self.now_s - task.due_s > 1.0
        task.host, task.started_s, task.released_s, task.lost_by, task.error = host, self.now_s, None, None, None
        task.attempt += 1
        attempt = task.attempt
        self.later(self.now_s + task.left_s, lambda: self.end(task, attempt))

    def end(self, task: Task, attempt: int) -> None:
        """Have a job end, if it is still the same attempt and moves."""
        host = self.hosts.get(task.host or "")
        if task.host is None or task.attempt != attempt or host is None or host.silent_s is not None:
            return
        if task.stalled_s is not None:
            self.later(self.now_s + 5.0, lambda: self.end(task, attempt))
            return
        error = self.down.get(task.kind) or task.fails
        if error is not None:
            task.fails, task.error, task.left_s = None, error, task.takes_s
            self.retried += 1
            self.failed.append((task, error, self.now_s))
            self._back(task, self.now_s + _RETRY_S)
            return
        self.running.remove(task)
        task.host = None
        self.well.append((task.kind, self.now_s))
        self.ended += 1

    def _alive(self, host: _Host) -> bool:
        return self.now_s - self._beat_s(host) < _DEAD_S

    def _beat_s(self, host: _Host) -> float:
        seen_s = self.now_s if host.silent_s is None else host.silent_s
        return floor(seen_s / _BEATS_S) * _BEATS_S

    # --- what statements would read

    def _workers(self) -> tuple[Worker, ...]:
        names = tuple(lane.name for lane in LANES)
        return tuple(
            Worker(
                one.worker_id, host, 1, "-", one.slots, names, one.kinds, at(0), at(self._beat_s(one)),
                at(self._beat_s(one) if one.blocked_s is None else min(one.blocked_s, self._beat_s(one))),
                stopping=False, alive=self._alive(one),
            )
            for host, one in self.hosts.items()
        )  # fmt: skip

    def _snapshot(self, asked: Iterable[Task] = ()) -> Snapshot:
        running: dict[Lane, list[RunningWork]] = {}
        for task in self.running:
            worker_id = self.hosts[task.host].worker_id if task.host in self.hosts else None
            work = RunningWork(task.takes_s, at(task.started_s), task.id, task.customer_id, worker_id)
            running.setdefault(task.lane, []).append(work)
        runways: dict[Lane, list[Ticket]] = {}
        for task in self.waiting:
            if task.released_s is not None:
                runways.setdefault(task.lane, []).append(Ticket(task.id, task.customer_id, at(task.released_s)))
        attempts = {one.id: Attempt(at(one.started_s), None, 0, 0) for one in asked if one.host is not None}
        return Snapshot(
            now=at(self.now_s),
            workers=self._workers(),
            pauses={},
            running={lane: tuple(ones) for lane, ones in running.items()},
            runways={lane: tuple(ones) for lane, ones in runways.items()},
            places={one.id: Ahead(0) for one in asked},
            caps={},
            attempts=attempts,
            history=_NOTHING_LEARNED,
            dispatched_at=at(self.now_s if self.handed_out_until_s is None else self.handed_out_until_s),
        )

    def _job(self, task: Task) -> Job:
        runs = task.host is not None
        signs = floor((task.sign_s(self.now_s) - task.started_s) / task.gap_s) if runs else 0
        state = State.RUNNING if runs else State.RETRYING if task.error else State.QUEUED
        return replace(
            any_job(),
            id=task.id, customer_id=task.customer_id, kind=task.kind, priority=task.lane.priority, size=task.lane.size,
            predicted_s=task.takes_s, state=state, attempt=task.attempt, revision=1 + 2 * task.attempt + signs,
            due_at=at(task.due_s), submitted_at=at(task.submitted_s),
            released_at=None if task.released_s is None else at(task.released_s),
            started_at=at(task.started_s) if task.attempt else None,
            lease_until=at(self.now_s + _LEASE_S) if runs else None,
            worker_id=self.hosts[task.host].worker_id if task.host in self.hosts else None,
            progressed_at=at(task.sign_s(self.now_s)) if signs else None,
            error={"code": task.error, "message": "No."} if task.error else None,
        )  # fmt: skip

    def _facts(self, task: Task) -> Facts:
        return facts_of(self._snapshot([task]), self._job(task), None)

    # --- those who look

    def _look(self) -> None:
        self.looks += 1
        now = at(self.now_s)
        if self.blind_s is None:
            seen = observed(self._snapshot(), now - timedelta(seconds=1))
            held = {key_of(one): max(self.held_at.get(key_of(one), one.since), one.since) for one in self.conditions}
            changes = changed(self.conditions, seen, held, now)
            self.conditions = [one for one in self.conditions if key_of(one) not in changes.closed]
            self.conditions += changes.opened
            self.held_at = {**held, **dict.fromkeys(map(key_of, seen), now)}
        looked_at = now if self.blind_s is None else at(self.blind_s)
        blind = now - looked_at > BLIND_AFTER
        found = [*findings.blind(looked_at, now, BLIND_AFTER), *self._found(blind=blind)]
        promises = findings.with_promises(found, self._broken(), ())
        looked_for = frozenset(Cause) - (_NEEDS_SIGHT if blind else frozenset())
        self._keep(Look([*promises.findings, *promises.broken], looked_for), now)

    def _found(self, *, blind: bool) -> Iterator[Finding]:
        if not blind:
            yield from self._of_lanes()
            yield from findings.of_unexplained(self._shown(self._first_of_lanes(), Code.UNEXPLAINED))
        yield from findings.of_hosts(self._workers(), self._in_hand(), at(self.now_s))
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

    def _broken(self) -> Iterator[Broken]:
        for task in (*self.waiting, *self.running):
            due_s = task.submitted_s + (3 * task.takes_s + _PROMISE_S if task.promise_s is None else task.promise_s)
            if due_s < self.now_s:
                yield Broken(task.lane, task.kind, task.host is not None, 1, 0, 1, at(due_s))

    def _shown(self, tasks: Sequence[Task], code: Code) -> Iterator[Stuck]:
        for task in tasks:
            facts = self._facts(task)
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


_NOTHING_LEARNED = learn((), None)


def _backlogs(waiting: Sequence[Task]) -> tuple[dict[Lane, Backlog], Backlog]:
    lanes: dict[Lane, list[Task]] = {}
    for task in waiting:
        lanes.setdefault(task.lane, []).append(task)
    counted = {lane: Backlog(len(ones), len({one.customer for one in ones})) for lane, ones in lanes.items()}
    return counted, Backlog(len(waiting), len({one.customer for one in waiting}))


# --- faults, each with its end

_NORMAL_SMALL = Lane(Priority.NORMAL, Size.SMALL)


def _small(customer: int = 1, kind: str = "drill", takes_s: float = 0.5) -> Task:
    return Task(customer, kind, _NORMAL_SMALL, takes_s)


def _all_leave(world: World, _: _Made) -> None:
    for host in [*world.hosts]:
        world.leave(host)
    world.submit(_small())


def _all_join(world: World, _: _Made) -> None:
    for number in range(3):
        world.join(f"host-{number}", 4)


def _offer_less(world: World, _: _Made) -> None:
    world.kinds = _KINDS[:1]
    _offer(world)
    for customer in range(3):
        world.submit(_small(customer, _KINDS[1]))


def _offer_all(world: World, _: _Made) -> None:
    world.kinds = _KINDS
    _offer(world)


def _offer(world: World) -> None:
    for host in world.hosts.values():
        host.kinds = world.kinds


def _stop_handing_out(world: World, _: _Made) -> None:
    world.handed_out_until_s = world.now_s
    world.submit(_small())


def _hand_out(world: World, _: _Made) -> None:
    world.handed_out_until_s = None


def _fall_silent(world: World, _: _Made) -> None:
    host = next(iter(world.hosts))
    task = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.MEDIUM), 30.0))
    world.start(task, host)
    world.hosts[host].silent_s = world.now_s


def _replace_silent(world: World, _: _Made) -> None:
    for host, one in [*world.hosts.items()]:
        if one.silent_s is not None:
            world.join(host, one.slots)


def _stall(world: World, state: _Made) -> None:
    task = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.LARGE), 200.0))
    world.start(task, next(iter(world.hosts)))
    task.stalled_s, state["task"] = world.now_s + 5.0, task


def _go_on(_: World, state: _Made) -> None:
    state["task"].stalled_s = None


def _fall_behind(world: World, state: _Made) -> None:
    state["task"] = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.HUGE), 3_000.0, promise_s=10.0))


def _be_done(world: World, state: _Made) -> None:
    world.end(state["task"], state["task"].attempt)


def _forget(world: World, state: _Made) -> None:
    state["task"] = world.submit(_small())
    state["task"].forgotten = True


def _remember(_: World, state: _Made) -> None:
    state["task"].forgotten = False


def _poison(world: World, _: _Made) -> None:
    world.dead.append((_small(), world.now_s))


def _deal_with_it(world: World, _: _Made) -> None:
    world.dead.clear()


def _dependency_falls(world: World, _: _Made) -> None:
    world.down[_KINDS[1]] = "register_down"
    for number in range(8):
        world.submit(_small(number % 4, _KINDS[1]))


def _dependency_is_back(world: World, _: _Made) -> None:
    world.down.clear()


def _refuse(world: World, _: _Made) -> None:
    world.refusing[7] = world.now_s


def _accept(world: World, _: _Made) -> None:
    world.refusing.clear()


def _close_eyes(world: World, _: _Made) -> None:
    world.blind_s = world.now_s


def _open_eyes(world: World, _: _Made) -> None:
    world.blind_s = None


def _block(world: World, _: _Made) -> None:
    world.block(next(iter(world.hosts)))


def _unblock(world: World, _: _Made) -> None:
    for host in world.hosts:
        world.unblock(host)


_Part = Callable[[World, _Made], None]

_FAULTS: Mapping[Cause, tuple[_Part, _Part]] = {
    Cause.NO_WORKER: (_all_leave, _all_join),
    Cause.NO_CAPABLE_WORKER: (_offer_less, _offer_all),
    Cause.LOOP_BLOCKED: (_block, _unblock),
    Cause.UNDELIVERED: (_stop_handing_out, _hand_out),
    Cause.WORKER_LOST: (_fall_silent, _replace_silent),
    Cause.NO_PROGRESS: (_stall, _go_on),
    Cause.POISON: (_poison, _deal_with_it),
    Cause.DEPENDENCY_DOWN: (_dependency_falls, _dependency_is_back),
    Cause.UNDELIVERED_RESULT: (_refuse, _accept),
    Cause.PROMISES_MISSED: (_fall_behind, _be_done),
    Cause.UNEXPLAINED: (_forget, _remember),
    Cause.WATCHDOG_BLIND: (_close_eyes, _open_eyes),
}
