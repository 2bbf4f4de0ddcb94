"""A scheduler with the jobs of its queues behind it, for the tests of what starts next."""

from collections import Counter
from dataclasses import replace
from itertools import count
from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, SIZES, Lane, Policy, Queue, Scheduler, Waiting

NORMAL_SMALL = Lane(Priority.NORMAL, Size.SMALL)
URGENT_SMALL = Lane(Priority.URGENT, Size.SMALL)
BULK_SMALL = Lane(Priority.BULK, Size.SMALL)
NORMAL_HUGE = Lane(Priority.NORMAL, Size.HUGE)
UNGUARANTEED = replace(POLICY, size_share=dict.fromkeys(Size, 0.0), priority_share=dict.fromkeys(Priority, 0.0))


class Office:
    """A scheduler with the jobs of its queues behind it, as the ledger has them."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.scheduler = Scheduler(policy)
        self.queues: dict[Queue, list[Waiting]] = {}
        self.numbers = count(1)

    def submit(
        self,
        customer: int,
        lane: Lane = NORMAL_SMALL,
        *,
        key: int | None = None,
        order_at: float | None = None,
        first_s: float = 1.0,
        many: int = 1,
    ) -> None:
        queue = Queue(UUID(int=customer), UUID(int=1000 * customer + (key or 0)), lane)
        jobs = self.queues.setdefault(queue, [])
        for _ in range(many):
            number = next(self.numbers)
            due = number if order_at is None else order_at
            jobs.append(Waiting(UUID(int=number), 1, queue.customer_id, queue.key_id, lane, due, first_s))
        jobs.sort(key=lambda one: (one.order_at, one.job_id))
        self.scheduler.show(queue, jobs)

    def release(self, room: int | dict[Size, int], most: dict[Lane, int] | None = None) -> list[Waiting]:
        left = dict.fromkeys(SIZES, room) if isinstance(room, int) else room
        taken = self.scheduler.release(left, most)
        for one in taken:
            self.queues[one.queue].remove(one)
        return taken

    def serve(self, jobs: int) -> Counter[int]:
        """Serve one after the other; gives how many of each customer."""
        served: Counter[int] = Counter()
        for _ in range(jobs):
            for one in self.release(1):
                served[one.customer_id.int] += 1
                self.scheduler.ended(one.customer_id)
        return served

    def waiting(self) -> list[Waiting]:
        return [one for jobs in self.queues.values() for one in jobs]
