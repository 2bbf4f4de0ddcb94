"""Customers with their keys: what each was given, and which of their jobs comes first in each lane (by its place)."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import UUID

from invoicing.lanes.model.ring import Account, Due, Ring
from invoicing.lanes.model.waiting import Waiting


@dataclass(eq=False, slots=True)
class Key(Account):
    """One of a customer's keys, with the first of its waiting jobs in each lane, by what they need from outside."""

    queues: dict[int, dict[str, deque[Waiting]]] = field(default_factory=dict)

    def first(self, lane: int, held: Collection[str]) -> Waiting | None:
        """Give the job that is due first in a lane, of those that are not held back."""
        queues = self.queues.get(lane)
        if not queues:
            return None
        if len(queues) == 1 and not held:
            (queue,) = queues.values()
            return queue[0]
        return min((queue[0] for needs, queue in queues.items() if needs not in held), key=due_of, default=None)

    def take(self, waiting: Waiting) -> None:
        """Take the first job out of its queue."""
        lane = waiting.lane.place
        queues = self.queues[lane]
        queue = queues[waiting.needs]
        queue.popleft()
        if not queue:
            del queues[waiting.needs]
            if not queues:
                del self.queues[lane]

    def put_back(self, waiting: Waiting) -> None:
        """Put a job back before the others of its queue."""
        self.queues.setdefault(waiting.lane.place, {}).setdefault(waiting.needs, deque()).appendleft(waiting)


@dataclass(eq=False, slots=True)
class Customer(Account):
    """Who is served; splitting work over keys gains nothing, since the keys share what their customer is given."""

    id: UUID
    era: int
    """Accounts are made even whenever nobody waits: the era that its figure belongs to."""
    weight: float = 1.0
    cap: int | None = None
    """How many of its jobs may run."""
    running: int = 0
    keys: dict[UUID, Key] = field(default_factory=dict)
    rings: dict[int, Ring] = field(default_factory=dict)
    """The keys that wait in each lane; never an empty one."""
    spared_s: float = 0.0
    """Service given out of turn and not charged: what of it proves not to have been used is not given back."""
    virtual: float = 0.0
    """The service of the key served last: where a key that was away begins."""
    held: Collection[str] = ()
    """The needs of jobs that are held back now: the same for all customers."""

    @property
    def away(self) -> bool:
        """Whether nothing of it waits that could start, or runs."""
        return not self.rings and self.running <= 0

    @property
    def known(self) -> bool:
        """Whether any of its waiting jobs are known, held back or not."""
        return any(key.queues for key in self.keys.values())

    @property
    def full(self) -> bool:
        """Whether it may not have another job running."""
        return at_limit(self.cap, self.running)

    def key(self, key_id: UUID) -> Key:
        """Find one of its keys, or begin its account at the present."""
        key = self.keys.get(key_id)
        if key is None:
            key = self.keys[key_id] = Key(len(self.keys), self.virtual)
        return key

    def place(self, key: Key, lane: int) -> None:
        """Let a key stand where the first job of its queue in a lane puts it."""
        first = key.first(lane, self.held)
        ring = self.rings.get(lane)
        if first is not None:
            if ring is None:
                ring = self.rings[lane] = Ring(slack=0.0)
            ring.seat(key, due_of(first))
        elif ring is not None:
            ring.leave(key)
            if not ring.seats:
                del self.rings[lane]

    def first(self, lane: int) -> tuple[Key, Waiting]:
        """Give the job that comes first of those that wait in a lane, with its key."""
        seat = self.rings[lane].first()
        assert seat is not None
        assert isinstance(seat.account, Key)
        first = seat.account.first(lane, self.held)
        assert first is not None
        return seat.account, first

    def give(self, key: Key, seconds: float) -> None:
        """Count service."""
        self.served += seconds / self.weight
        key.served += seconds

    def shared(self) -> list[int]:
        """Name the lanes in which several of its keys wait: there, service changes which of them is next."""
        return [lane for lane, ring in self.rings.items() if len(ring.seats) > 1]


def at_limit(cap: int | None, under_way: int) -> bool:
    """Tell whether as many of a customer's jobs run, or are about to, as may."""
    return cap is not None and under_way >= cap


def due_of(one: Waiting) -> Due:
    """When a job counts as due, and which it is."""
    return one.order_at, one.job_id
