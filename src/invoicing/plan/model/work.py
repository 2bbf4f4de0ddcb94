"""What a simulation is given and what it gives: jobs, a fleet, and how each job fared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from invoicing.jobs.model import Priority, Size


@dataclass(frozen=True, slots=True)
class Work:
    """A job that will arrive."""

    at_s: float
    """When it arrives (seconds since the beginning)."""
    customer: str
    key: str
    """The customer's key that submits it."""
    priority: Priority
    size_s: float
    """How long it takes with a slot and a core to itself (seconds)."""
    estimated_s: float
    """What it is taken for (seconds)."""
    checkpoints: int
    """How often it could stop on the way, evenly spread; 0: it cannot."""
    kind: str = ""
    promise_s: float | None = None
    """Within which time of its acceptance it is to end; None: as its class is promised usually."""


@dataclass(frozen=True)
class Death:
    """A worker process ends without warning: what it ran starts again elsewhere from its last checkpoint."""

    worker: int
    """Its place in the fleet."""
    at_s: float
    back_at_s: float | None = None
    """When one like it serves again; None: never."""
    noticed_after_s: float = 15.0
    """How long its jobs stay unnoticed: the lease."""


@dataclass(frozen=True)
class Fleet:
    """Workers, each with its slots and as many cores."""

    workers: tuple[int, ...]
    """Slots of each worker."""
    deaths: tuple[Death, ...] = ()
    freezes: bool = False
    """Whether work that does not stop in time is frozen, rather than left running at the lowest weight."""
    restarts: bool = False
    """Whether it is killed and begun anew from its last checkpoint where no more may be set aside."""
    caps: Mapping[str, int] = field(default_factory=dict)
    """Customers that may have only so many jobs running."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Customers whose share is not 1."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job fared."""

    work: Work
    started_s: float | None
    """When it first started; None: refused, or not started when the simulation ended."""
    finished_s: float | None
    parked: int = 0
    """How often it gave way."""
    refused: bool = False
    retry_after_s: int | None = None
    """After which time it was told to come again, where it was refused."""
    taken_in_after_s: float | None = None
    """After which time it would have been taken in; known of some of those that were refused."""

    @property
    def wait_s(self) -> float | None:
        """From its arrival to its first start (seconds)."""
        return None if self.started_s is None else self.started_s - self.work.at_s

    @property
    def slowdown(self) -> float | None:
        """How many times as long as the work itself it took from its arrival to its end."""
        return None if self.finished_s is None else (self.finished_s - self.work.at_s) / self.work.size_s


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stood at a moment."""

    at_s: float
    busy: int
    """Slots in use, those of work set aside not counted."""
    waiting: int
    """Jobs that were due and held no slot."""


@dataclass(frozen=True)
class Outcome:
    """What became of a load on a fleet under a policy."""

    jobs: tuple[Ended, ...]
    """In the order of their arrival."""
    lasted_s: float
    """When the last event happened (seconds since the beginning)."""
    slots_s: float
    """Slot time that the fleet offered."""
    idle_while_waiting_s: float
    """Part of it in which a slot was idle although a job waited."""
    served_s: Mapping[tuple[str, Priority, Size], float]
    """Work that was done, by customer, priority and the class that the job had at that time (seconds)."""
    course: tuple[Moment, ...] = ()
    """How things stood over the time: evenly spread, some hundreds of them whatever the number of events."""

    @property
    def idle_while_waiting(self) -> float:
        """The same as a share."""
        return self.idle_while_waiting_s / self.slots_s if self.slots_s else 0.0

    def chosen(self, *, priority: Priority | None = None, customers: Iterable[str] | None = None) -> list[Ended]:
        """Give the jobs of a priority or of customers."""
        wanted = None if customers is None else frozenset(customers)
        return [
            one
            for one in self.jobs
            if (priority is None or one.work.priority == priority) and (wanted is None or one.work.customer in wanted)
        ]
