"""What is known at one moment: a snapshot of the service, and the part of it that concerns one job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.customers.model import CustomerPause
from invoicing.diagnosis.model.durations import History, Prediction
from invoicing.diagnosis.model.margins import AllMargins
from invoicing.jobs.model import WAITING, Breaker, Breakers, Job
from invoicing.jobs.model.dependencies import first_shut
from invoicing.jobs.model.holds import Hold
from invoicing.lanes.model import POLICY, SIZES, Lane, Left, Pause, Policy, Worker, holds_back
from invoicing.lanes.model.line import Ahead
from invoicing.lanes.model.room import Capacity, capacity, free

ALIVE_FOR = timedelta(seconds=8)
"""A beat older than this proves silence (four beats of 2 s); the same bound by which lanes call a worker dead."""

SETTLED_FOR = timedelta(seconds=5)
"""What is younger than this may simply be under way between ledger, runway and worker: it proves nothing is stuck."""

UNSEEN_FOR = timedelta(seconds=2)
"""The backlog is looked at all the time and that is written every second: a gap of two proves that nobody does."""


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
    job_id: UUID
    customer_id: UUID
    worker_id: UUID | None = None
    """Whose slot it holds; one that nobody holds any more is in nobody's way."""


@dataclass(frozen=True)
class Ticket:
    """A job on the runway: released, and not yet claimed by a worker."""

    job_id: UUID
    customer_id: UUID
    released_at: datetime


@dataclass(frozen=True)
class Undelivered:
    """A message that tells of a job's end, and that an endpoint of its customer has not taken."""

    endpoint_id: UUID
    since: datetime
    attempts: int
    status: int | None
    """What the endpoint answered last; None: nothing."""
    next_try_at: datetime | None
    """None: it is not sent again by itself."""
    gives_up_at: datetime
    disabled: bool


@dataclass(frozen=True)
class Snapshot:
    """Everything that was read to explain some jobs, at one moment of PostgreSQL's clock."""

    now: datetime
    workers: tuple[Worker, ...]
    pauses: Mapping[str, Pause]
    running: Mapping[Lane, tuple[RunningWork, ...]]
    runways: Mapping[Lane, tuple[Ticket, ...]]
    places: Mapping[UUID, Ahead]
    caps: Mapping[UUID, int]
    """How many jobs of a customer may run, where that is limited."""
    attempts: Mapping[UUID, Attempt]
    history: History
    dispatched_at: datetime | None = None
    """When the backlog was last seen to be looked at; None: not known."""
    policy_of: Callable[[str | None], Policy] = lambda _host: POLICY
    """The policy that holds on a host; None: for the fleet."""
    margins: AllMargins = field(default_factory=dict)
    undelivered: Mapping[UUID, tuple[Undelivered, ...]] | None = None
    """What could not be told of finished jobs; None: not looked at."""
    breakers: Breakers = field(default_factory=dict)
    """What is down that jobs need from outside."""
    holds: Mapping[UUID, Hold] = field(default_factory=dict)
    """The reviews and quotas that hold jobs."""
    customer_pauses: Mapping[UUID, CustomerPause] = field(default_factory=dict)
    _rooms: dict[tuple[UUID, ...], "_Room"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def room(self, serving: tuple[Worker, ...]) -> "_Room":
        """Count the slots of workers, and those that are free, by the rules of the dispatcher; once for many jobs."""
        key = tuple(worker.id for worker in serving)
        if key not in self._rooms:
            offered = capacity((worker, worker.slots, self.policy_of(worker.host)) for worker in serving)
            held = ((work.worker_id, lane.size) for lane, works in self.running.items() for work in works)
            self._rooms[key] = _Room(offered, free(offered, held))
        return self._rooms[key]


@dataclass(frozen=True)
class _Room:
    """The slots of some workers, and how many more jobs of each class or larger these may start."""

    capacity: Capacity
    left: Left


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
    runways: Mapping[Lane, tuple[Ticket, ...]]
    place: Ahead | None
    cap: int | None
    """How many jobs of its customer may run."""
    attempt: Attempt | None
    history: History
    prediction: Prediction | None
    """How long such jobs took."""
    expected: Prediction | None
    """How long this one should take: with what others tell that run."""
    similar: int
    margins: AllMargins
    """How the last ends fared that were foreseen, by class and stage."""
    dispatched_at: datetime | None = None
    """When the backlog was last seen to be looked at."""
    undelivered: tuple[Undelivered, ...] | None = None
    """None: not looked at."""
    down: Breaker | None = None
    """The first that is down of what the job needs from outside."""
    hold: Hold | None = None
    customer_pause: CustomerPause | None = None

    @property
    def longest_pause(self) -> Pause | CustomerPause | None:
        """Of the pauses of its lane and its customer the one that ends last, if any holds."""
        held = [one for one in (self.pause, self.customer_pause) if one is not None and holds_back(one.until, self.now)]
        return max(held, key=lambda one: one.until, default=None)

    @property
    def waiting(self) -> bool:
        """Whether the job waits for a slot, or for its time, and not for what holds it."""
        return waits(self.job)

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
    def oldest_release(self) -> datetime | None:
        """When the oldest ticket of its lane was released."""
        return min((ticket.released_at for ticket in self.runways.get(self.lane, ())), default=None)

    @property
    def own_running(self) -> tuple[UUID, ...]:
        """The running jobs of its customer."""
        own = self.job.customer_id
        return tuple(work.job_id for lane in self.running.values() for work in lane if work.customer_id == own)

    @property
    def own_released(self) -> int:
        """How many jobs of its customer are about to start."""
        own = self.job.customer_id
        return sum(ticket.customer_id == own for tickets in self.runways.values() for ticket in tickets)

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


def waits(job: Job) -> bool:
    """Tell whether a job waits for a slot, or for its time."""
    return job.state in WAITING and not job.held


def facts_of(snapshot: Snapshot, job: Job, max_attempts: int | None) -> Facts:
    """Pick out of a snapshot what concerns one job; slots are counted as the dispatcher counts them."""
    lane = Lane(job.priority, job.size)
    registered = [worker for worker in snapshot.workers if lane.name in worker.lanes]
    serving = tuple(worker for worker in registered if worker.alive and not worker.stopping)
    room = snapshot.room(serving)
    return Facts(
        now=snapshot.now,
        job=job,
        lane=lane,
        max_attempts=max_attempts,
        serving=serving,
        last_beat=max((worker.beat_at for worker in registered), default=None),
        pause=snapshot.pauses.get(lane.name),
        worker=next((worker for worker in snapshot.workers if worker.id == job.worker_id), None),
        slots=room.capacity.served[lane],
        free=max(0, min(room.left[below] for below in SIZES[: SIZES.index(lane.size) + 1])),
        running=snapshot.running,
        runways=snapshot.runways,
        place=snapshot.places.get(job.id) if waits(job) and job.due_at <= snapshot.now else None,
        cap=snapshot.caps.get(job.customer_id),
        attempt=snapshot.attempts.get(job.id),
        history=snapshot.history,
        prediction=snapshot.history.predict(job.kind, job.predicted_s),
        expected=snapshot.history.expect(job.kind, job.predicted_s, job.id),
        similar=snapshot.history.similar(job.kind, job.predicted_s),
        dispatched_at=snapshot.dispatched_at,
        undelivered=None if snapshot.undelivered is None else snapshot.undelivered.get(job.id, ()),
        margins=snapshot.margins,
        down=snapshot.breakers.get(first_shut(job.needs, snapshot.breakers) or ""),
        hold=snapshot.holds.get(job.id),
        customer_pause=snapshot.customer_pauses.get(job.customer_id),
    )
