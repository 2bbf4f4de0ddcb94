"""A service in virtual time, as the rules see it: workers, and jobs that they do."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappush
from itertools import count
from math import floor
from uuid import UUID

from invoicing.diagnosis.model.account import Condition
from invoicing.diagnosis.model.conditions import Key
from invoicing.diagnosis.model.durations import learn
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, Ticket, facts_of
from invoicing.incidents.model.incident import Incident
from invoicing.jobs.model import Job, State
from invoicing.lanes.model import LANES, Lane, Worker
from invoicing.lanes.model.line import Ahead

from ..diagnosis.situations import running as any_job
from .tasks import KINDS, Host, Opened, Task

_BEGAN = datetime(2026, 1, 5, tzinfo=UTC)
_BEATS_S, _LEASE_S, _DEAD_S = 2.0, 10.0, 8.0
_RETRY_S = 15.0


def at(seconds: float) -> datetime:
    """Give a moment of virtual time."""
    return _BEGAN + timedelta(seconds=seconds)


def _id(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128))


_NOTHING_LEARNED = learn((), None)


@dataclass
class Service:
    """Workers and jobs, and what is kept of incidents."""

    chance: random.Random
    now_s: float = 0.0
    hosts: dict[str, Host] = field(default_factory=dict)
    waiting: list[Task] = field(default_factory=list)
    running: list[Task] = field(default_factory=list)
    kinds: tuple[str, ...] = KINDS
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
    past: list[Condition] = field(default_factory=list)
    """Those that are just over."""
    held_at: dict[Key, datetime] = field(default_factory=dict)
    incidents: dict[UUID, Incident] = field(default_factory=dict)
    opened: list[Opened] = field(default_factory=list)
    ended: int = 0
    retried: int = 0
    waited: int = 0
    looks: int = 0
    events: list[tuple[float, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    # --- what happens

    def later(self, at_s: float, what: Callable[[], object]) -> None:
        """Have something happen."""
        heappush(self.events, (at_s, next(self._numbers), what))

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
        self.hosts[host] = Host(_id(self.chance), slots, self.kinds)

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

    # --- the service

    def lose(self) -> None:
        for host, one in [*self.hosts.items()]:
            if one.silent_s is not None and self.now_s - one.silent_s >= _LEASE_S:
                for task in [each for each in self.running if each.host == host]:
                    task.lost_by = one.worker_id
                    self._back(task, self.now_s + 1.0)

    def _back(self, task: Task, due_s: float) -> None:
        self.running.remove(task)
        task.host, task.released_s, task.due_s = None, None, due_s
        self.waiting.append(task)

    def dispatch(self) -> None:
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
        if facts_of(self.snapshot(), self.job(task), None).free <= 0:
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

    def _alive(self, host: Host) -> bool:
        return self.now_s - self._beat_s(host) < _DEAD_S

    def _beat_s(self, host: Host) -> float:
        seen_s = self.now_s if host.silent_s is None else host.silent_s
        return floor(seen_s / _BEATS_S) * _BEATS_S

    # --- what statements would read

    def workers(self) -> tuple[Worker, ...]:
        names = tuple(lane.name for lane in LANES)
        return tuple(
            Worker(
                one.worker_id, host, 1, "-", one.slots, names, one.kinds, at(0), at(self._beat_s(one)),
                at(self._beat_s(one) if one.blocked_s is None else min(one.blocked_s, self._beat_s(one))),
                stopping=False, alive=self._alive(one),
            )
            for host, one in self.hosts.items()
        )  # fmt: skip

    def snapshot(self, asked: Iterable[Task] = ()) -> Snapshot:
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
            workers=self.workers(),
            pauses={},
            running={lane: tuple(ones) for lane, ones in running.items()},
            runways={lane: tuple(ones) for lane, ones in runways.items()},
            places={one.id: Ahead(0) for one in asked},
            caps={},
            attempts=attempts,
            history=_NOTHING_LEARNED,
            dispatched_at=at(self.now_s if self.handed_out_until_s is None else self.handed_out_until_s),
        )

    def job(self, task: Task) -> Job:
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

    def facts(self, task: Task) -> Facts:
        return facts_of(self.snapshot([task]), self.job(task), None)
