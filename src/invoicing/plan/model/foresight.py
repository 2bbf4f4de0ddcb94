"""Ends foreseen in a simulation, by the evaluator of the service and from what it would see; and what came of them."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from random import Random
from uuid import UUID

from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.censored import Running
from invoicing.diagnosis.model.durations import Group, History, learn, magnitude, with_running
from invoicing.diagnosis.model.eta import expect, foresee
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, facts_of
from invoicing.diagnosis.model.margins import LAST, AllMargins, Case, Of, margins
from invoicing.jobs.model import Eta, Job, State
from invoicing.lanes.model import LANES, SIZES, Lane, Policy, Queue, Scheduler, Waiting, Worker
from invoicing.lanes.model.line import Ahead, Held, Line, banded, line_of, play
from invoicing.lanes.model.newcomers import LATELY_S, MOST_LATELY, Arrival, Coming, Newcomer, newcomers
from invoicing.plan.model.backlog import Backlog
from invoicing.plan.model.machine import Machine, Run, Task, last_checkpoint
from invoicing.plan.model.simulation import Simulation
from invoicing.plan.model.work import Fleet, Outcome, Work

LOOKED_AT = 1_000
"""Waiting jobs that are looked at, as in the service."""

SIMILAR = 200
"""Finished jobs of a magnitude that are learned from, as in the service."""

LEARN_EVERY_S = 15.0

_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)
_NAMES = tuple(lane.name for lane in LANES)
_NIL = UUID(int=0)


@dataclass(frozen=True)
class Scene:
    """A simulation at a moment (seconds since its beginning)."""

    now: float
    policy: Policy
    machines: Sequence[Machine]
    backlog: Backlog
    scheduler: Scheduler


@dataclass(frozen=True)
class Given:
    """A range that was given, and what came of it (seconds from the moment when it was given)."""

    at_s: float
    of: Of
    earliest_s: float
    likely_s: float
    latest_s: float
    certain: bool
    naive_s: float
    """The place in the line times the mean duration."""
    actual_s: float

    @property
    def holds(self) -> bool:
        """Whether the end came inside."""
        return self.earliest_s <= self.actual_s <= self.latest_s


@dataclass(frozen=True)
class Passed:
    """How many jobs were said to start before one, and how many did."""

    at_s: float
    said: Ahead
    actual: int

    @property
    def holds(self) -> bool:
        """Whether the number lies in the band."""
        most = self.said.at_most
        return self.said.fewest <= self.actual and (most is None or self.actual <= most)


@dataclass(frozen=True)
class _Open:
    at_s: float
    of: Of
    point_s: float
    eta: Eta
    naive_s: float


class Prophet:
    """Foresees the ends of some jobs when they arrive, and of some that run; learns as the service does."""

    def __init__(self, share: float, seed: int) -> None:
        """Ask about a share of the arrivals; know nothing yet."""
        self.given: list[Given] = []
        self.passed: list[Passed] = []
        self._starts: list[UUID] = []
        self._placed: dict[UUID, tuple[float, Ahead, int]] = {}
        """When a waiting job was asked about, what was said, and how many starts there had been by then."""
        self._share = share
        self._chance = Random(f"{seed} prophet")  # noqa: S311 - a simulation that can be repeated
        self._open: dict[UUID, _Open] = {}
        self._lately: deque[tuple[float, Waiting]] = deque(maxlen=MOST_LATELY)
        self._cases: dict[Of, deque[Case]] = {}
        self._finished: dict[int, deque[tuple[float, float]]] = {}
        self._jobs, self._work_s = 0, 0.0
        self._learned_at = -LEARN_EVERY_S
        self._history: History = learn((), None)
        self._margins: AllMargins = {}

    def arrived(self, task: Task, scene: Scene) -> None:
        """Foresee the end of a job that arrived and now and then, as randomly, of one that runs."""
        self._lately.append((scene.now, scene.backlog.as_waiting(task)))
        if self._chance.random() < self._share:
            self._ask(task, None, scene)
        elif self._chance.random() < self._share:
            runs = [run for each in scene.machines for run in each.runs if not run.aside]
            if runs:
                run = self._chance.choice(runs)
                self._ask(run.task, run, scene)

    def started(self, task: Task) -> None:
        """See who went before a job that starts."""
        placed = self._placed.pop(task.id, None)
        if placed is not None:
            at_s, said, before = placed
            self.passed.append(Passed(at_s, said, len(set(self._starts[before:]))))
        self._starts.append(task.id)

    def ended(self, task: Task, now: float) -> None:
        """Learn from a job that ended."""
        size_s = task.work.size_s
        self._jobs += 1
        self._work_s += size_s
        group = self._finished.setdefault(magnitude(task.predicted_s), deque(maxlen=SIMILAR))
        group.append((task.predicted_s, size_s))
        one = self._open.pop(task.id, None)
        if one is None:
            return
        actual_s = now - one.at_s
        self._cases.setdefault(one.of, deque(maxlen=LAST)).append(Case(one.point_s, actual_s))
        earliest_s, likely_s, latest_s = (
            _seconds(end) - one.at_s for end in (one.eta.earliest, one.eta.likely, one.eta.latest)
        )
        certain = one.eta.confidence is not None
        self.given.append(Given(one.at_s, one.of, earliest_s, likely_s, latest_s, certain, one.naive_s, actual_s))

    def _ask(self, task: Task, run: Run | None, scene: Scene) -> None:
        if task.id in self._open:
            return
        self._learn(scene)
        place = _place(task, scene, self._coming(scene.now)) if run is None else None
        if place is not None:
            self._placed[task.id] = (scene.now, place, len(self._starts))
        facts = _facts(task, run, place, scene, self._history, self._margins)
        cause = shown(facts, examine(facts))
        foreseen = foresee(facts, cause) if cause else None
        eta = expect(facts, cause) if cause else None
        if foreseen is None or foreseen.stage is None or eta is None:
            return
        slots = max(1, sum(each.slots for each in scene.machines))
        mean_s = self._work_s / max(1, self._jobs)
        naive_s = ((place.count if place else 0) / slots + 1) * mean_s
        of = (task.lane.size, foreseen.stage)
        self._open[task.id] = _Open(scene.now, of, foreseen.point_s, eta, naive_s)

    def _coming(self, now: float) -> Sequence[Newcomer]:
        """Suppose that jobs go on to come as they came lately."""
        while self._lately and self._lately[0][0] < now - LATELY_S:
            self._lately.popleft()
        if len(self._lately) < 2:
            return ()
        lately = [Arrival(now - at_s, waiting) for at_s, waiting in self._lately]
        span_s = LATELY_S if len(lately) < MOST_LATELY else lately[0].ago_s
        return newcomers(lately, min(span_s, now), now)

    def _learn(self, scene: Scene) -> None:
        now = scene.now
        if now - self._learned_at < LEARN_EVERY_S:
            return
        self._learned_at = now
        groups = [
            Group("", power, tuple(p for p, _ in pairs), tuple(d for _, d in pairs))
            for power, pairs in self._finished.items()
        ]
        running = [Running(run.task.id, "", run.task.predicted_s, _done_s(run, now)) for run in _runs(scene)]
        self._history = with_running(learn(groups, _moment(now)), running)
        going_on: dict[Of, list[Case]] = {}
        for one in self._open.values():
            going_on.setdefault(one.of, []).append(Case(one.point_s, now - one.at_s, ended=False))
        found = {of: margins([*cases, *going_on.get(of, ())]) for of, cases in self._cases.items()}
        self._margins = {of: one for of, one in found.items() if one is not None}


def simulate_foreseeing(work: Iterable[Work], fleet: Fleet, policy: Policy, prophet: Prophet) -> Outcome:
    """Play a load through to its end while ends are foreseen, which changes nothing."""
    played = _Foreseeing(sorted(work, key=lambda one: one.at_s), fleet, policy, None)
    played.prophet = prophet
    played.play(inf)
    return played.outcome()


class _Foreseeing(Simulation):
    prophet: Prophet

    def _arrive(self, work: Work, now: float) -> None:
        super()._arrive(work, now)
        scene = Scene(now, self._policy, self._machines, self._backlog, self._scheduler)
        self.prophet.arrived(self._tasks[-1], scene)

    def _start(self, task: Task, now: float) -> bool:
        started = super()._start(task, now)
        if started:
            self.prophet.started(task)
        return started

    def _end(self, run: Run, now: float) -> None:
        super()._end(run, now)
        if run.task.finished_s is not None:
            self.prophet.ended(run.task, now)


def _place(task: Task, scene: Scene, coming: Sequence[Newcomer]) -> Ahead | None:
    """Find what starts before a waiting job, as the service does."""
    heads = scene.backlog.first(max(1, LOOKED_AT // max(1, scene.backlog.queues)))
    own = heads.get(Queue(task.customer_id, task.key_id, task.lane))
    if own is None:
        return None
    line = _line(scene, heads, None)
    ahead = line.ahead(task.id)
    if ahead is None:  # it waits deeper than was looked
        return line.behind(own[-1].id, task.lane.size)
    waiting = sum(map(len, heads.values()))
    then = _line(scene, heads, Coming(coming, waiting)).ahead(task.id) if coming else ahead
    return banded(ahead, then)


def _line(scene: Scene, heads: Mapping[Queue, Sequence[Task]], coming: Coming | None) -> Line:
    scheduler = Scheduler(scene.policy)
    work_s = {}
    for queue, tasks in heads.items():
        scheduler.show(queue, [scene.backlog.as_waiting(one) for one in tasks])
        work_s.update({one.id: max(one.predicted_s - one.done_s, 0.0) for one in tasks})
    runs = _runs(scene)
    for run in runs:
        scheduler.runs(run.task.customer_id, sum(other.task.customer_id == run.task.customer_id for other in runs))
    scheduler.restore({name: had for name, had in scene.scheduler.counters().items() if _in(name, heads)})
    quantum = scene.policy.quantum_s
    held = [
        Held(
            run.task.lane.size,
            run.task.customer_id,
            min(max(0.0, quantum - (scene.now - run.since)), max(0.0, run.task.predicted_s - _done_s(run, scene.now))),
        )
        for run in runs
    ]
    quota = {size: sum(each.quota[size] for each in scene.machines if each.alive) for size in SIZES}
    played = play(scheduler, [], held, quota, coming=coming)
    return line_of(played.started, work_s, quantum, played.starts_in_s)


def _in(customer_id: UUID, heads: Mapping[Queue, Sequence[Task]]) -> bool:
    return any(queue.customer_id == customer_id for queue in heads)


def _facts(
    task: Task, run: Run | None, place: Ahead | None, scene: Scene, history: History, known: AllMargins
) -> Facts:
    now = _moment(scene.now)
    snapshot = Snapshot(
        now=now,
        workers=tuple(_worker(number, each, now) for number, each in enumerate(scene.machines) if each.alive),
        pauses={},
        running=_running(scene.machines),
        runways={},
        places={task.id: place} if place else {},
        caps={},
        attempts={task.id: _attempt(task, run, scene.now)} if run else {},
        history=history,
        policy_of=lambda _host: scene.policy,
        margins=known,
    )
    return facts_of(snapshot, _job(task, run, scene.now), None)


def _runs(scene: Scene) -> list[Run]:
    return [run for each in scene.machines for run in each.runs if not run.aside]


def _running(machines: Sequence[Machine]) -> dict[Lane, tuple[RunningWork, ...]]:
    found: dict[Lane, list[RunningWork]] = {}
    for number, each in enumerate(machines):
        for run in each.runs:
            if run.aside:
                continue
            task, since = run.task, _moment(run.since)
            work = RunningWork(task.predicted_s, since, task.id, task.customer_id, UUID(int=number))
            found.setdefault(task.lane, []).append(work)
    return {lane: tuple(work) for lane, work in found.items()}


def _done_s(run: Run, now: float) -> float:
    return run.task.done_s + (now - run.mark) * run.rate


def _attempt(task: Task, run: Run, now: float) -> Attempt:
    before = max(0.0, _done_s(run, now) - (now - run.since)) if task.attempt > 1 else 0.0
    return Attempt(_moment(run.since), None, before, before)


def _worker(number: int, each: Machine, now: datetime) -> Worker:
    return Worker(UUID(int=number), "", 0, "", each.slots, _NAMES, ("",), now, now, now, stopping=False, alive=True)


def _job(task: Task, run: Run | None, now: float) -> Job:
    """Show a task as the ledger would: one with checkpoints tells its progress at each."""
    came = _moment(task.work.at_s)
    done = last_checkpoint(task) if run and task.work.checkpoints else 0.0
    told = {"progress_done": done, "progress_total": task.work.size_s} if done > 0 else {}
    return Job(
        id=task.id, customer_id=task.customer_id, kind="", reference=None, priority=task.lane.priority,
        size=task.lane.size, predicted_s=task.predicted_s, state=State.RUNNING if run else State.QUEUED,
        revision=1, attempt=task.attempt if run else task.attempt - 1, failures=0, due_at=came,
        order_at=_moment(task.order_at), released_at=None, submitted_at=came,
        started_at=_moment(run.since) if run else None, finished_at=None, deadline=None, promise_due=came,
        lease_until=_moment(now + 10.0) if run else None,
        worker_id=_NIL if run else None, cancel_requested_at=None, irrevocable=False,
        progress_done=told.get("progress_done"), progress_total=told.get("progress_total"), progress_unit=None,
        progressed_at=_moment(now) if told else None, result=None, error=None, webhook=None, key_id=task.key_id,
        estimated_s=task.work.estimated_s, parked_at=None,
    )  # fmt: skip


def _moment(seconds: float) -> datetime:
    return _BEGIN + timedelta(seconds=seconds)


def _seconds(moment: datetime) -> float:
    return (moment - _BEGIN).total_seconds()
