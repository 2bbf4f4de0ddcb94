"""Healthy scenes around one job that waits, runs or has ended, in which something can be made to be the matter."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.durations import Group, History, learn, magnitude
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, Ticket, Undelivered, facts_of
from invoicing.jobs.model import Breaker, Job, Priority, Size, State
from invoicing.jobs.model.holds import Hold
from invoicing.lanes.model import LANES, Lane, Pause, Worker
from invoicing.lanes.model.line import Ahead

from .situations import GATE, JOB, NOW, STRANGER, WORKER, ago, down, running, waiting, worker

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
    most_attempts: int | None = 3
    undelivered: tuple[Undelivered, ...] | None = None
    breakers: dict[str, Breaker] = field(default_factory=dict)
    dispatched_at: datetime | None = None
    ends: datetime | None = None
    """When the last of what ends at a known time does, and which code that has."""
    timed: Code | None = None
    hold: Hold | None = None

    def id(self) -> UUID:
        """Make up an id."""
        return UUID(int=self.chance.getrandbits(128))

    def between(self, low: float, high: float) -> float:
        return self.chance.uniform(low, high)

    def run(self, lane: Lane, count: int, customer: UUID, since: float, on: Worker) -> None:
        """Let jobs of a customer run in a lane, on a worker, for some seconds already."""
        works = [RunningWork(self.between(0.1, 5), ago(since), self.id(), customer, on.id) for _ in range(count)]
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
            dispatched_at=self.dispatched_at,
            attempts={} if self.attempt is None else {JOB: self.attempt},
            history=self.history,
            undelivered=None if self.undelivered is None else {JOB: self.undelivered},
            breakers=self.breakers,
            holds={} if self.hold is None else {JOB: self.hold},
        )
        return facts_of(snapshot, self.job, self.most_attempts)


def waiting_scene(chance: Random) -> Scene:
    """Build a job that has waited for a while though there is a free slot, and nothing that explains it."""
    lane = chance.choice(LANES)
    waited = chance.uniform(20, 2_000)
    job = waiting(waited, priority=lane.priority, size=lane.size, predicted_s=chance.uniform(*PREDICTED_S[lane.size]))
    workers = [healthy(chance, lane) for _ in range(chance.randint(1, 4))]
    scene = Scene(chance, job, lane, workers)
    for one in workers:
        lane_of_theirs = Lane(chance.choice(tuple(Priority)), Size.SMALL)
        scene.run(lane_of_theirs, chance.randint(0, one.slots - 1), STRANGER, scene.between(10, 100), one)
    if chance.random() < 0.3:  # it has run before, and gave way or was interrupted
        began, ended = waited - scene.between(1, 5), waited - scene.between(6, 10)
        scene.job = replace(job, attempt=1, started_at=ago(began), revision=4)
        scene.attempt = Attempt(ago(began), ago(ended), 0, began - ended)
    return scene


def running_scene(chance: Random) -> Scene:
    """Build a job that has been worked on for less time than such jobs take, by a worker that beats."""
    lane = chance.choice(LANES)
    predicted = chance.uniform(*PREDICTED_S[lane.size])
    worked = min(predicted / 2, 50.0)
    job = running(worked, priority=lane.priority, size=lane.size, predicted_s=predicted)
    held = replace(healthy(chance, lane), id=WORKER)
    scene = Scene(chance, job, lane, [held, *(healthy(chance, lane) for _ in range(chance.randint(0, 2)))])
    scene.attempt = Attempt(ago(worked), None, 0, 0)
    if chance.random() < 0.5:
        known(scene, took=predicted)
    return scene


def ended_scene(chance: Random) -> Scene:
    """Build a job that has succeeded, and whose customer has been told."""
    scene = running_scene(chance)
    ends: dict[str, Any] = {"state": State.SUCCEEDED, "finished_at": ago(scene.between(1, 900)), "lease_until": None}
    scene.job, scene.undelivered = replace(scene.job, **ends), ()
    return scene


def healthy(chance: Random, lane: Lane, kinds: tuple[str, ...] = ("drill",)) -> Worker:
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


def known(scene: Scene, took: float) -> None:
    """Let many jobs like it have finished, each within a factor of two of some seconds."""
    durations = tuple(took * 2 ** scene.between(-1, 1) for _ in range(scene.chance.choice(LIKE_IT)))
    predicted = scene.job.predicted_s
    group = Group(scene.job.kind, magnitude(predicted), (predicted,) * len(durations), durations)
    scene.history = learn([group], ago(scene.between(0, 15)))


def unrelated(scene: Scene) -> None:
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
        scene.breakers["elsewhere"] = down(name="elsewhere")
    if scene.chance.random() < 0.3 and scene.job.state is State.RUNNING:
        scene.job, scene.breakers[GATE] = replace(scene.job, needs=GATE), down()
    if scene.chance.random() < 0.3:
        scene.runways.setdefault(scene.chance.choice(elsewhere), []).append(Ticket(scene.id(), STRANGER, ago(7)))
