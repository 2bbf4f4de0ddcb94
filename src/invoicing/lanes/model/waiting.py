"""What waits, as the policy sees it."""

from typing import NamedTuple
from uuid import UUID

from invoicing.lanes.model.lane import Lane


class Queue(NamedTuple):
    """The waiting jobs that one key of a customer has in one lane and that need the same, in the order of their due."""

    customer_id: UUID
    key_id: UUID
    lane: Lane
    needs: str = ""
    """What they need from outside; they are held back together."""


class Waiting(NamedTuple):
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
    """Our staff put it before the fair order: it starts as soon as its class has room, and is charged all the same."""
    needs: str = ""
    """What it needs from outside."""

    @property
    def queue(self) -> Queue:
        """The queue it waits in."""
        return Queue(self.customer_id, self.key_id, self.lane, self.needs)
