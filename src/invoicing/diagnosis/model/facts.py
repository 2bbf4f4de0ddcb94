"""What is known at one moment: a snapshot of the service, and the part of it that concerns one job."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.diagnosis.model.durations import History, Prediction
from invoicing.jobs.model import FINISHED, WAITING, Job
from invoicing.lanes.model import LANES, Lane, Pause, Worker, free_for, quotas

ALIVE_FOR = timedelta(seconds=8)
"""A beat older than this proves silence (four beats of 2 s); the same bound by which lanes call a worker dead."""

SETTLED_FOR = timedelta(seconds=5)
"""What is younger than this may simply be under way between ledger, runway and worker: it proves nothing is stuck."""


@dataclass(frozen=True)
class Attempt:
    """The latest attempt at a job, and the seconds that went into the earlier ones."""

    started_at: datetime
    ended_at: datetime | None
    spent_before_s: float
    """In all earlier attempts."""
    worked_before_s: float
    """In those that were interrupted: work that was kept."""


@dataclass(frozen=True)
class RunningWork:
    """A running job as those who wait for its slot see it."""

    predicted_s: float
    started_at: datetime


@dataclass(frozen=True)
class Queue:
    """The waiting jobs of a lane that could start now, counted no further than a bound."""

    count: int = 0
    work_s: float = 0.0
    truncated: bool = False
    """There are more than were counted."""
    released: int = 0
    oldest_release: datetime | None = None


@dataclass(frozen=True)
class Place:
    """What starts before a job in its lane; `at_least`: more than was counted."""

    ahead: int
    work_s: float
    at_least: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that was read to explain some jobs, at one moment of PostgreSQL's clock."""

    now: datetime
    workers: tuple[Worker, ...]
    pauses: Mapping[str, Pause]
    running: Mapping[Lane, tuple[RunningWork, ...]]
    queues: Mapping[Lane, Queue]
    places: Mapping[UUID, Place]
    attempts: Mapping[UUID, Attempt]
    history: History


@dataclass(frozen=True)
class Facts:
    """What concerns one job."""

    now: datetime
    job: Job
    lane: Lane
    max_attempts: int | None
    serving: tuple[Worker, ...]
    """Live workers that take new jobs of this lane."""
    last_beat: datetime | None
    """The latest beat of any worker registered for this lane, live or not."""
    pause: Pause | None
    worker: Worker | None
    """The registered worker that holds the job."""
    slots: int
    """How many slots jobs of this size may use."""
    free: int
    running: Mapping[Lane, tuple[RunningWork, ...]]
    queues: Mapping[Lane, Queue]
    place: Place | None
    attempt: Attempt | None
    history: History
    prediction: Prediction | None
    similar: int

    @property
    def waiting(self) -> bool:
        """Whether the job waits for a slot, or for its time."""
        return self.job.state in WAITING

    @property
    def due(self) -> bool:
        """Whether it may start as far as its own time is concerned."""
        return self.waiting and self.job.due_at <= self.now

    @property
    def waiting_since(self) -> datetime:
        """When the present wait began."""
        ended = self.attempt.ended_at if self.attempt else None
        return min(self.now, max(self.job.due_at, ended or self.job.submitted_at))

    @property
    def waited(self) -> timedelta:
        """How long the present wait lasts."""
        return self.now - self.waiting_since

    @property
    def released_for(self) -> timedelta | None:
        """How long the job has been on the runway."""
        return None if self.job.released_at is None else max(timedelta(0), self.now - self.job.released_at)

    @property
    def queue(self) -> Queue:
        """The queue of its own lane."""
        return self.queues.get(self.lane, Queue())

    @property
    def attempt_began(self) -> datetime:
        """When the attempt that runs began."""
        began = self.attempt.started_at if self.attempt else self.job.started_at
        return min(self.now, began or self.job.submitted_at)

    @property
    def worked_s(self) -> float:
        """Seconds of work that count toward the job's duration: interrupted attempts and the present one."""
        if self.attempt is None:
            return 0.0
        end = self.now if self.attempt.ended_at is None else self.attempt.ended_at
        return self.attempt.worked_before_s + max(0.0, (end - self.attempt.started_at).total_seconds())

    @property
    def last_sign(self) -> datetime:
        """When the present attempt last showed that it moves: its start, or its latest checkpoint."""
        reported = self.job.progressed_at
        return min(self.now, max(self.attempt_began, reported)) if reported else self.attempt_began


def facts_of(snapshot: Snapshot, job: Job, max_attempts: int | None) -> Facts:
    """Pick out of a snapshot what concerns one job; slots are counted as the dispatcher counts them."""
    lane = Lane(job.priority, job.size)
    registered = [worker for worker in snapshot.workers if lane.name in worker.lanes]
    serving = tuple(worker for worker in registered if worker.alive and not worker.stopping)
    by_size = Counter(dict.fromkeys(type(lane.size), 0))
    for other, work in snapshot.running.items():
        by_size[other.size] += len(work)
    return Facts(
        now=snapshot.now,
        job=job,
        lane=lane,
        max_attempts=max_attempts,
        serving=serving,
        last_beat=max((worker.beat_at for worker in registered), default=None),
        pause=snapshot.pauses.get(lane.name),
        worker=next((worker for worker in snapshot.workers if worker.id == job.worker_id), None),
        slots=sum(quotas(worker.slots)[lane.size] for worker in serving),
        free=free_for(lane.size, by_size, sum(worker.slots for worker in serving)) if serving else 0,
        running=snapshot.running,
        queues=snapshot.queues,
        place=snapshot.places.get(job.id) or _beyond(snapshot, job, lane),
        attempt=snapshot.attempts.get(job.id),
        history=snapshot.history,
        prediction=snapshot.history.predict(job.kind, job.predicted_s),
        similar=snapshot.history.similar(job.kind, job.predicted_s),
    )


def lanes_before(lane: Lane) -> tuple[Lane, ...]:
    """Give the lanes that a free slot looks at before this one, and this one."""
    return LANES[: LANES.index(lane) + 1]


def _beyond(snapshot: Snapshot, job: Job, lane: Lane) -> Place | None:
    """Place a due job that was not among those counted: behind all of them."""
    queue = snapshot.queues.get(lane)
    if job.state in FINISHED or job.state not in WAITING or job.due_at > snapshot.now or queue is None:
        return None
    return Place(queue.count, queue.work_s, at_least=True) if queue.truncated else None
