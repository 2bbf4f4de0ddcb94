"""Random situations in which something was made to be the matter; what is expected follows from what was built alone.

A scene starts as a healthy one: workers that beat, free slots, a job in its queue or under way. Then one or two things
are made wrong (or right) in it. Each touches certain sides of the scene, so that no two undo each other, and has its
place in `SHOWN_FIRST`, which is written down here by hand and asks no rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.durations import Group, History, learn, magnitude
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, Ticket, facts_of
from invoicing.jobs.model import Job, Priority, Size, State
from invoicing.lanes.model import LANES, Lane, Pause, Worker
from invoicing.lanes.model.line import Ahead

from .situations import CUSTOMER, JOB, NOW, STRANGER, WORKER, ago, running, waiting, worker

SHOWN_FIRST = (
    "in review", "timed", "no worker", "no capable worker", "loops blocked", "undelivered", "customer limit",
    "saturated", "starting",
    "worker lost", "loop blocked", "cancel pending", "no progress", "slower than normal", "running normally",
)  # fmt: skip
"""What stops a job altogether before what slows it. Of what ends at a known time, the last to end is shown."""

PREDICTED_S = {Size.SMALL: (0.05, 0.9), Size.MEDIUM: (2.0, 25.0), Size.LARGE: (40.0, 800.0), Size.HUGE: (1e3, 1e4)}

LIKE_IT = (12, 12, 12, 12, 12, 150)
"""How many finished jobs like one whose normal time matters; from the many its tail is known exactly."""


@dataclass
class Scene:
    """One moment, around one job, while it is being built."""

    chance: Random
    job: Job
    lane: Lane
    workers: list[Worker]
    pauses: dict[str, Pause] = field(default_factory=dict)
    running: dict[Lane, list[RunningWork]] = field(default_factory=dict)
    runways: dict[Lane, list[Ticket]] = field(default_factory=dict)
    place: Ahead | None = None
    caps: dict[UUID, int] = field(default_factory=dict)
    attempt: Attempt | None = None
    history: History = field(default_factory=lambda: learn((), None))
    ends: datetime | None = None
    """When the last of what ends at a known time does, and which code that has."""
    timed: Code | None = None

    def id(self) -> UUID:
        """Make up an id."""
        return UUID(int=self.chance.getrandbits(128))

    def between(self, low: float, high: float) -> float:
        return self.chance.uniform(low, high)

    def run(self, lane: Lane, count: int, customer: UUID, since: float) -> None:
        """Let jobs of a customer run in a lane, for some seconds already."""
        works = [RunningWork(self.between(0.1, 5), ago(since), self.id(), customer) for _ in range(count)]
        self.running.setdefault(lane, []).extend(works)

    def until(self, code: Code, ends: datetime) -> None:
        """Note that something ends at a known time."""
        if self.ends is None or ends > self.ends:
            self.ends, self.timed = ends, code

    def facts(self) -> Facts:
        """Give what is known."""
        snapshot = Snapshot(
            now=NOW,
            workers=tuple(self.workers),
            pauses=self.pauses,
            running={lane: tuple(works) for lane, works in self.running.items()},
            runways={lane: tuple(tickets) for lane, tickets in self.runways.items()},
            places={} if self.place is None else {JOB: self.place},
            caps=self.caps,
            attempts={} if self.attempt is None else {JOB: self.attempt},
            history=self.history,
        )
        return facts_of(snapshot, self.job, self.chance.choice((None, 3, 5)))


@dataclass(frozen=True)
class Plant:
    """Something that is made to be the matter."""

    name: str
    """As in `SHOWN_FIRST`."""
    code: Code
    touches: frozenset[str]
    build: Callable[[Scene], None]


@dataclass(frozen=True)
class Planted:
    """A scene, what was planted in it, and what has to be shown."""

    facts: Facts
    names: tuple[Code, ...]
    expected: Code


def planted(seed: int) -> Planted:
    """Build one situation; the same seed builds the same."""
    chance = Random(seed)
    kit, bare = chance.choice(((WAITING_KIT, _waiting_scene), (RUNNING_KIT, _running_scene)))
    first = chance.choice(kit)
    others = [one for one in kit if not one.touches & first.touches]
    chosen = [first, *([chance.choice(others)] if others and chance.random() < 0.6 else [])]
    scene = bare(chance)
    for plant in chosen:
        plant.build(scene)
    _unrelated(scene)
    foremost = min(chosen, key=lambda plant: SHOWN_FIRST.index(plant.name) if plant.name else len(SHOWN_FIRST))
    timed = scene.timed if foremost.name == "timed" else None
    return Planted(scene.facts(), tuple(plant.code for plant in chosen), timed or foremost.code)


def _waiting_scene(chance: Random) -> Scene:
    """Build a job that has waited for a while though there is a free slot, and nothing that explains it."""
    lane = chance.choice(LANES)
    waited = chance.uniform(20, 2_000)
    job = waiting(waited, priority=lane.priority, size=lane.size, predicted_s=chance.uniform(*PREDICTED_S[lane.size]))
    workers = [_healthy(chance, lane) for _ in range(chance.randint(1, 4))]
    scene = Scene(chance, job, lane, workers)
    for _ in range(chance.randint(0, min(one.slots for one in workers) - 1)):
        scene.run(Lane(chance.choice(tuple(Priority)), Size.SMALL), 1, STRANGER, scene.between(10, 100))
    if chance.random() < 0.3:  # it has run before, and gave way or was interrupted
        began, ended = waited - scene.between(1, 5), waited - scene.between(6, 10)
        scene.job = replace(job, attempt=1, started_at=ago(began), revision=4)
        scene.attempt = Attempt(ago(began), ago(ended), 0, began - ended)
    return scene


def _running_scene(chance: Random) -> Scene:
    """Build a job that has been worked on for less time than such jobs take, by a worker that beats."""
    lane = chance.choice(LANES)
    predicted = chance.uniform(*PREDICTED_S[lane.size])
    worked = min(predicted / 2, 50.0)
    job = running(worked, priority=lane.priority, size=lane.size, predicted_s=predicted)
    held = replace(_healthy(chance, lane), id=WORKER)
    scene = Scene(chance, job, lane, [held, *(_healthy(chance, lane) for _ in range(chance.randint(0, 2)))])
    scene.attempt = Attempt(ago(worked), None, 0, 0)
    if chance.random() < 0.5:
        _known(scene, took=predicted)
    return scene


def _healthy(chance: Random, lane: Lane, kinds: tuple[str, ...] = ("drill",)) -> Worker:
    others = {chance.choice(LANES).name for _ in range(chance.randint(0, 4))}
    beat = ago(chance.uniform(0, 4))
    return worker(
        id=UUID(int=chance.getrandbits(128)),
        slots=chance.randint(1, 8),
        lanes=tuple({lane.name, *others}),
        kinds=(*kinds, *chance.choice(((), ("other",)))),
        beat_at=beat,
        loop_beat_at=min(NOW, beat + timedelta(seconds=chance.uniform(-2, 0))),
    )


def _known(scene: Scene, took: float) -> None:
    """Let many jobs like it have finished, each within a factor of two of some seconds."""
    durations = tuple(took * 2 ** scene.between(-1, 1) for _ in range(scene.chance.choice(LIKE_IT)))
    predicted = scene.job.predicted_s
    group = Group(scene.job.kind, magnitude(predicted), (predicted,) * len(durations), durations)
    scene.history = learn([group], ago(scene.between(0, 15)))


def _unrelated(scene: Scene) -> None:
    """Add what is wrong elsewhere and has nothing to do with the job."""
    elsewhere = [lane for lane in LANES if lane != scene.lane]
    for lane in scene.chance.sample(elsewhere, scene.chance.randint(0, 3)):
        scene.pauses[lane.name] = Pause(lane.name, ago(99), ago(-scene.between(1, 900)), "Elsewhere.", "Somebody")
    if scene.chance.random() < 0.3:
        lane = scene.chance.choice(elsewhere)
        gone = worker(id=scene.id(), lanes=(lane.name,), beat_at=ago(60), loop_beat_at=ago(60), alive=False)
        scene.workers.append(gone)
    if scene.chance.random() < 0.3:
        scene.caps[STRANGER] = 0
    if scene.chance.random() < 0.3:
        scene.runways.setdefault(scene.chance.choice(elsewhere), []).append(Ticket(scene.id(), STRANGER, ago(7)))


# --- a job that waits


def _in_review(scene: Scene) -> None:
    scene.job = replace(scene.job, state=State.IN_REVIEW)


def _scheduled(scene: Scene) -> None:
    due = ago(-scene.between(0.1, 9_000))
    scene.job = replace(scene.job, due_at=due)
    scene.until(Code.SCHEDULED, due)


def _retry_backoff(scene: Scene) -> None:
    due, waited = ago(-scene.between(0.1, 600)), (NOW - scene.job.submitted_at).total_seconds()
    failed = waited / 2
    error = scene.chance.choice(({"code": "drill_failed", "message": "No."}, {"code": "worker_lost"}, None))
    past: dict[str, Any] = {
        "state": State.RETRYING,
        "attempt": 2,
        "failures": 1,
        "started_at": ago(waited - 1),
        "revision": 5,
    }
    scene.job = replace(scene.job, due_at=due, error=error, **past)
    scene.attempt = Attempt(ago(failed + 1), ago(failed), 1, 0)
    scene.until(Code.RETRY_BACKOFF, due)


def _paused(scene: Scene) -> None:
    until = ago(-scene.between(0.1, 9_000))
    scene.pauses[scene.lane.name] = Pause(scene.lane.name, ago(scene.between(0, 99)), until, "It moves.", "Somebody")
    scene.until(Code.PAUSED, until)


def _no_worker(scene: Scene) -> None:
    """Let everybody who served the lane be silent, be stopping, serve other lanes, or never have been there."""
    other = next(lane for lane in LANES if lane != scene.lane)
    silent = {"beat_at": ago(scene.between(9, 600)), "loop_beat_at": ago(700), "alive": False}
    gone = ({**silent}, {"stopping": True}, {"lanes": (other.name,)})
    scene.workers = [replace(one, **scene.chance.choice(gone)) for one in scene.workers]
    if scene.chance.random() < 0.3:
        scene.workers.clear()


def _no_capable_worker(scene: Scene) -> None:
    scene.workers = [replace(one, kinds=scene.chance.choice(((), ("other",)))) for one in scene.workers]


def _loops_blocked(scene: Scene) -> None:
    scene.workers = [replace(one, loop_beat_at=ago(scene.between(9, 600))) for one in scene.workers]


def _undelivered(scene: Scene) -> None:
    """Let the job, or one before it in its lane, lie on the runway for long though a slot is free."""
    released = ago(scene.between(5, 19))
    if scene.chance.random() < 0.5:
        scene.job = replace(scene.job, released_at=released)
    else:
        scene.runways.setdefault(scene.lane, []).append(Ticket(scene.id(), STRANGER, released))


def _customer_limit(scene: Scene) -> None:
    """Let as many of the customer's jobs be under way as may, on workers that have many slots more than that."""
    limit = scene.chance.randint(1, 3)
    about_to_start = scene.chance.randint(0, limit)
    scene.caps[CUSTOMER] = limit
    on = scene.chance.choice([lane for lane in LANES if lane != scene.lane])
    works = [RunningWork(1.0, ago(30), scene.id(), CUSTOMER) for _ in range(limit - about_to_start)]
    scene.running.setdefault(on, []).extend(works)
    scene.runways.setdefault(on, []).extend(Ticket(scene.id(), CUSTOMER, ago(6)) for _ in range(about_to_start))
    scene.workers = [replace(one, slots=one.slots + 16) for one in scene.workers]


def _saturated(scene: Scene) -> None:
    """Let every slot be taken, or let others start before it one after the other."""
    ahead = scene.chance.randint(0, 300)
    if scene.chance.random() < 0.7:
        for one in scene.workers:  # a slot more than it has, as small jobs may use a spare one
            scene.run(Lane(Priority.NORMAL, Size.SMALL), one.slots + 1, STRANGER, scene.between(6, 300))
    else:
        ahead = max(1, ahead)
        scene.runways.setdefault(scene.lane, []).append(Ticket(scene.id(), STRANGER, ago(scene.between(0, 4.9))))
    scene.place = Ahead(ahead, {scene.lane.size: (ahead, ahead * 0.5)} if ahead else {}, scene.chance.random() < 0.2)
    if scene.chance.random() < 0.2:
        scene.job = replace(scene.job, parked_at=ago(15), attempt=1, started_at=ago(20), revision=4)
        scene.attempt = Attempt(ago(19), ago(15), 0, 4)


def _starting(scene: Scene) -> None:
    """Let it have come, or be released, this moment."""
    moments = scene.between(0, 4.9)
    if scene.chance.random() < 0.5:
        scene.job = replace(scene.job, submitted_at=ago(moments), due_at=ago(moments), attempt=0, started_at=None)
        scene.attempt = None
    else:
        scene.job = replace(scene.job, released_at=ago(moments))
    scene.place = scene.chance.choice((None, Ahead(0)))


def _nothing(_: Scene) -> None:
    """Leave it as it is: a free slot, a job that should have started long ago, and no reason."""


# --- a job that runs


def _worker_lost(scene: Scene) -> None:
    """Let the lease be over, or the worker be silent, or forgotten."""
    lost = scene.chance.randrange(3)
    if lost == 0:
        scene.job = replace(scene.job, lease_until=ago(scene.between(0, 60)))
    elif lost == 1:
        scene.workers[0] = replace(scene.workers[0], beat_at=ago(scene.between(8.1, 60)), alive=False)
    else:
        del scene.workers[0]


def _loop_blocked(scene: Scene) -> None:
    scene.workers[0] = replace(scene.workers[0], loop_beat_at=ago(scene.between(8.1, 600)))


def _cancel_pending(scene: Scene) -> None:
    scene.job = replace(scene.job, cancel_requested_at=ago(scene.between(0, 20)))


def _no_progress(scene: Scene) -> None:
    """Let it be silent for much longer than its own checkpoints lie apart, or than it could take at all."""
    predicted = scene.job.predicted_s
    if scene.chance.random() < 0.5:
        gap, reports = scene.between(0.5, 30), scene.chance.randint(1, 50)
        silent = scene.between(max(61, 6 * gap), 3_000)
        _reported(scene, began=silent + gap * reports, ago_s=silent, reports=reports)
    else:
        silent = max(61, 9 * predicted) + scene.between(0, 3_000)
        scene.job = replace(scene.job, started_at=ago(silent))
        scene.attempt = Attempt(ago(silent), None, 0, 0)


def _slower_than_normal(scene: Scene) -> None:
    """Let jobs like it take a fraction of what it has taken already, while its checkpoints come as ever."""
    worked = scene.between(30, 3_000)
    _reported(scene, began=worked, ago_s=scene.between(0, 20), reports=30)
    _known(scene, took=worked / scene.between(15, 60))


def _running_normally(scene: Scene) -> None:
    if scene.chance.random() < 0.5:
        began = (NOW - scene.facts().attempt_began).total_seconds()
        _reported(scene, began=began, ago_s=began * scene.between(0, 0.5), reports=3)


def _reported(scene: Scene, began: float, ago_s: float, reports: int) -> None:
    """Let an attempt have begun so long ago, and have reported so often, the last time some seconds ago."""
    said: dict[str, Any] = {"progress_done": float(reports), "progress_total": 100.0, "progress_unit": "chunks"}
    revision = 3 + reports
    scene.job = replace(
        scene.job,
        started_at=ago(began),
        submitted_at=ago(began + 1),
        progressed_at=ago(ago_s),
        revision=revision,
        **said,
    )
    scene.attempt = Attempt(ago(began), None, 0, 0)


def _plants(*rows: tuple[str, Code, str, Callable[[Scene], None]]) -> Sequence[Plant]:
    return [Plant(name, code, frozenset(touches.split()), build) for name, code, touches, build in rows]


WAITING_KIT = _plants(
    ("in review", Code.IN_REVIEW, "state", _in_review),
    ("timed", Code.SCHEDULED, "state time age slots", _scheduled),
    ("timed", Code.RETRY_BACKOFF, "state time age slots release", _retry_backoff),
    ("timed", Code.PAUSED, "pause", _paused),
    ("no worker", Code.NO_WORKER, "workers kinds beats slots", _no_worker),
    ("no capable worker", Code.NO_CAPABLE_WORKER, "kinds", _no_capable_worker),
    ("loops blocked", Code.LOOP_BLOCKED, "beats", _loops_blocked),
    ("undelivered", Code.UNDELIVERED, "slots release", _undelivered),
    ("customer limit", Code.CUSTOMER_LIMIT, "release", _customer_limit),
    ("saturated", Code.LANE_SATURATED, "slots age", _saturated),
    ("starting", Code.STARTING, "slots age release", _starting),
    ("", Code.UNEXPLAINED, "state time age slots release pause workers kinds beats", _nothing),
)

RUNNING_KIT = _plants(
    ("worker lost", Code.WORKER_LOST, "lease beats", _worker_lost),
    ("loop blocked", Code.LOOP_BLOCKED, "beats", _loop_blocked),
    ("cancel pending", Code.CANCEL_PENDING, "cancel", _cancel_pending),
    ("no progress", Code.NO_PROGRESS, "silence", _no_progress),
    ("slower than normal", Code.SLOWER_THAN_NORMAL, "silence", _slower_than_normal),
    ("running normally", Code.RUNNING_NORMALLY, "silence beats lease", _running_normally),
)
