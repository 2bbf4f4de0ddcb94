"""What the dispatcher reads of the ledger: the first jobs of queues, what is on the runway, what runs."""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from invoicing.jobs.model.states import Priority, Size

QueueName = tuple[UUID, UUID, Priority, Size, str]
"""The jobs that one key (second) of a customer (first) has waiting in a lane, and that need the same (last)."""

Ticket = tuple[UUID, int]
"""What travels through Redis: a job and the attempt it is released for."""


class Place(StrEnum):
    """Where a job is, as the dispatcher sees it."""

    WAITING = "waiting"
    RELEASED = "released"
    RUNNING = "running"


class Seen(NamedTuple):
    """A job that the dispatcher has to do with; times are seconds since the epoch, by PostgreSQL's clock."""

    place: Place
    job_id: UUID
    attempt: int
    """The attempt that runs, or that the next one will be."""
    customer_id: UUID
    key_id: UUID
    priority: Priority
    size: Size
    needs: str
    """What it needs from outside."""
    order_at: float
    work_s: float
    """Its predicted work (seconds)."""
    since: float
    """When it was released, or when its attempt began; 0 while it waits."""
    worker_id: UUID | None
    """Whose slot it holds; None where it waits, or runs on set aside, without a slot."""
    expedited: bool

    @property
    def queue(self) -> QueueName:
        """The queue it is of."""
        return self.customer_id, self.key_id, self.priority, self.size, self.needs

    @property
    def ticket(self) -> Ticket:
        """The job and the attempt."""
        return self.job_id, self.attempt


class Come(NamedTuple):
    """A job that came lately."""

    queue: QueueName
    work_s: float
    """Its predicted work (seconds)."""
    ago_s: float


class Look(NamedTuple):
    """What the ledger held at one moment."""

    now: float
    """PostgreSQL's clock (seconds since the epoch)."""
    next_due: float | None
    """When the next job that waits for its time becomes due."""
    withdrawals: int
    """How often lanes were paused or went on until then: what is released upon it is void if one was since."""
    jobs: list[Seen]
