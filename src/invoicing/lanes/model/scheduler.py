"""What starts next: the least served customer first, then what is due first, within the room that quotas leave."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from invoicing.lanes.model.lane import SIZES, Lane
from invoicing.lanes.model.policy import Policy
from invoicing.lanes.model.quota import Left, fits, used


@dataclass(frozen=True)
class Queue:
    """The waiting jobs that one key of a customer has in one lane, in the order in which they are due."""

    customer_id: UUID
    key_id: UUID
    lane: Lane


@dataclass(frozen=True)
class Waiting:
    """A job that could start."""

    job_id: UUID
    attempt: int
    """The number that its next attempt will have."""
    customer_id: UUID
    key_id: UUID
    lane: Lane
    order_at: float
    """When it counts as due (seconds since the epoch)."""
    first_s: float
    """What is charged when it is released (seconds): its predicted work, as far as it runs before it gives way."""
    expedited: bool = False
    """Our staff put it before the fair order: it starts as soon as there is room for it, and is charged all the same."""

    @property
    def queue(self) -> Queue:
        """The queue it waits in."""
        return Queue(self.customer_id, self.key_id, self.lane)


class Scheduler:
    """The first jobs of every queue, and what each customer was given; decides, and does nothing else."""

    def __init__(self, policy: Policy) -> None:
        """Start with nothing waiting and nobody served."""
        self.policy = policy
        self._queues: dict[Queue, list[Waiting]] = {}
        self._served: dict[tuple[UUID, UUID | None], float] = {}
        self._weights: dict[UUID, float] = {}
        self._virtual = 0.0

    def show(self, queue: Queue, heads: Sequence[Waiting]) -> None:
        """Tell which jobs come first in a queue, in order; none: nothing waits in it."""
        if heads:
            self._queues[queue] = list(heads)
            self._arrive((queue.customer_id, None))
            self._arrive((queue.customer_id, queue.key_id))
        else:
            self._queues.pop(queue, None)

    def shown(self, queue: Queue) -> int:
        """How many jobs of a queue it still knows; at 0 it must be shown more."""
        return len(self._queues.get(queue, ()))

    def weigh(self, customer_id: UUID, weight: float) -> None:
        """Set a customer's weight: service counts 1/weight."""
        self._weights[customer_id] = weight

    def charge(self, customer_id: UUID, key_id: UUID, seconds: float) -> None:
        """Count service (seconds of slot; negative where too much was charged)."""
        for account in ((customer_id, None), (customer_id, key_id)):
            weight = self._weights.get(customer_id, 1.0)
            self._served[account] = self._served.get(account, self._virtual) + seconds / weight

    def counters(self) -> Mapping[UUID, float]:
        """Give what each customer was given, to be kept."""
        return {customer: served for (customer, key), served in self._served.items() if key is None}

    def restore(self, counters: Mapping[UUID, float]) -> None:
        """Go on from counters that were kept."""
        for customer, served in counters.items():
            self._served[customer, None] = served
        self._virtual = min(counters.values(), default=0.0)

    def release(self, left: Left, most: Mapping[Lane, int] | None = None) -> list[Waiting]:
        """Take what starts next, in order, while there is room; `most` bounds single lanes (a paused one has 0)."""
        bounds = dict(most or {})
        taken: list[Waiting] = []
        while (chosen := self._choose(left, bounds)) is not None:
            left = used(left, chosen.lane.size)
            if chosen.lane in bounds:
                bounds[chosen.lane] -= 1
            self._queues[chosen.queue].remove(chosen)
            self._virtual = max(self._virtual, self._of(chosen.customer_id, None))
            self.charge(chosen.customer_id, chosen.key_id, chosen.first_s)
            taken.append(chosen)
        return taken

    def blocked(self, most: int) -> list[Waiting]:
        """Tell what would start next if there were room, without taking it."""
        every = dict.fromkeys(SIZES, most)
        kept = {queue: list(heads) for queue, heads in self._queues.items()}
        served, virtual = dict(self._served), self._virtual
        found = self.release(every)[:most]
        self._queues, self._served, self._virtual = kept, served, virtual
        return found

    def _choose(self, left: Left, bounds: Mapping[Lane, int]) -> Waiting | None:
        open_ = [one for one in self._heads(bounds) if fits(left, one.lane.size)]
        if not open_:
            return None
        if urged := [one for one in open_ if one.expedited]:
            return min(urged, key=lambda one: (one.order_at, one.job_id))
        least = min(self._of(one.customer_id, None) for one in open_) + self.policy.slack_s
        fair = [one for one in open_ if self._of(one.customer_id, None) <= least]
        return min(fair, key=lambda one: (one.order_at, one.job_id))

    def _heads(self, bounds: Mapping[Lane, int]) -> Iterable[Waiting]:
        for heads in self._queues.values():
            for one in heads:
                if bounds.get(one.lane, 1) > 0:
                    yield one
                    break

    def _of(self, customer_id: UUID, key_id: UUID | None) -> float:
        return self._served.get((customer_id, key_id), self._virtual)

    def _arrive(self, account: tuple[UUID, UUID | None]) -> None:
        """Begin at the present virtual time: nobody saves up while away."""
        self._served[account] = max(self._served.get(account, self._virtual), self._virtual)
