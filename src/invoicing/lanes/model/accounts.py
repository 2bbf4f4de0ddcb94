"""Customers with their keys: what each was given, and which of their jobs comes first in each lane (by its place)."""

from collections import deque
from dataclasses import dataclass, field
from uuid import UUID

from invoicing.lanes.model.ring import Account, Due, Ring
from invoicing.lanes.model.waiting import Waiting


@dataclass(eq=False, slots=True)
class Key(Account):
    """One of a customer's keys, with the first of its waiting jobs in each lane."""

    queues: dict[int, deque[Waiting]] = field(default_factory=dict)


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

    @property
    def away(self) -> bool:
        """Whether nothing of it waits or runs."""
        return not self.rings and self.running <= 0

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
        queue = key.queues.get(lane)
        ring = self.rings.get(lane)
        if queue:
            if ring is None:
                ring = self.rings[lane] = Ring(slack=0.0)
            ring.seat(key, due_of(queue[0]))
        elif ring is not None:
            ring.leave(key)
            if not ring.seats:
                del self.rings[lane]

    def first(self, lane: int) -> tuple[Key, Waiting]:
        """Give the job that comes first of those that wait in a lane, with its key."""
        seat = self.rings[lane].first()
        assert seat is not None
        assert isinstance(seat.account, Key)
        return seat.account, seat.account.queues[lane][0]

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
