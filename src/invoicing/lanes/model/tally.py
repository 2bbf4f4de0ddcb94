"""How much waits: jobs and predicted work of a customer in a lane."""

from dataclasses import dataclass
from uuid import UUID

from invoicing.lanes.model.lane import Lane


@dataclass(frozen=True)
class Tally:
    """What a customer has waiting in a lane, on the runway or not, due or not."""

    customer_id: UUID
    lane: Lane
    waiting: int
    work_s: float
    """Predicted work (seconds), without what is held back: something outside is down, or its customer is paused."""
