"""Customers with their keys: what each was given, and which of their jobs comes first in each lane (by its place)."""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from invoicing.lanes.model.ring import Account, Due, Ring
from invoicing.lanes.model.waiting import Waiting

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class Key(Account):
    """One of a customer's keys, with the first of its waiting jobs in each lane."""

    queues: dict[int, deque[Waiting]] = field(default_factory=dict)
    """Of jobs that need nothing from outside: nearly all."""
    needing: dict[int, dict[str, deque[Waiting]]] = field(default_factory=dict)
    """Of the others, by what they need."""

    @property
    def waits(self) -> bool:
        """Whether any of its waiting jobs are known, held back or not."""
        return bool(self.queues or self.needing)

    def queue(self, lane: int, needs: str) -> deque[Waiting]:
        """Give one of its queues; one that is empty is not kept."""
        found = self.needing.get(lane, {}).get(needs) if needs else self.queues.get(lane)
        return deque() if found is None else found

    def keep(self, lane: int, needs: str, queue: deque[Waiting]) -> None:
        """Have a queue be this one from now on."""
        if not needs:
            _keep(self.queues, lane, queue)
        elif queue or lane in self.needing:
            _keep(self.needing.setdefault(lane, {}), needs, queue)
            if not self.needing[lane]:
                del self.needing[lane]

    def take(self, waiting: Waiting) -> None:
        """Take the first job out of its queue."""
        queue = self.queue(waiting.lane.place, waiting.needs)
        queue.popleft()
        if not queue:
            self.keep(waiting.lane.place, waiting.needs, queue)

    def put_back(self, waiting: Waiting) -> None:
        """Put a job back before the others of its queue."""
        queue = self.queue(waiting.lane.place, waiting.needs)
        queue.appendleft(waiting)
        self.keep(waiting.lane.place, waiting.needs, queue)

    def first(self, lane: int, held: Collection[str]) -> Waiting | None:
        """Give the job that is due first in a lane, of those that are not held back."""
        queue = self.queues.get(lane)
        first = queue[0] if queue else None
        if not self.needing:
            return first
        heads = [queue[0] for needs, queue in self.needing.get(lane, {}).items() if needs not in held]
        return min(heads if first is None else [first, *heads], key=due_of, default=None)


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
        return (not self.rings or self.paused) and self.running <= 0

    @property
    def paused(self) -> bool:
        """Whether nothing of it may start, whatever runs."""
        return self.cap == 0

    @property
    def known(self) -> bool:
        """Whether any of its waiting jobs are known, held back or not."""
        return any(key.waits for key in self.keys.values())

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

    def resume(self, key_id: UUID, virtual: float) -> None:
        """Let whoever had nothing that could start begin at the present, so that an outage saves up nothing."""
        if self.away:
            self.served = max(self.served, virtual)
        key = self.key(key_id)
        if not any(key.number in ring.seats for ring in self.rings.values()):
            key.served = max(key.served, self.virtual)

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
        if not seat.account.needing:
            return seat.account, seat.account.queues[lane][0]
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


def _keep(queues: dict[T, deque[Waiting]], name: T, queue: deque[Waiting]) -> None:
    if queue:
        queues[name] = queue
    else:
        queues.pop(name, None)


def due_of(one: Waiting) -> Due:
    """When a job counts as due, and which it is."""
    return one.order_at, one.job_id
