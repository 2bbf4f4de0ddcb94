"""A running attempt as the policy sees it."""

from dataclasses import dataclass
from uuid import UUID

from invoicing.lanes.model.lane import Lane


@dataclass(frozen=True)
class Running:
    """An attempt that holds a slot."""

    job_id: UUID
    attempt: int
    customer_id: UUID
    key_id: UUID
    lane: Lane
    order_at: float
    """When it counts as due (seconds since the epoch)."""
    since: float
    """When this attempt began (seconds since the epoch)."""
    worker_id: UUID | None = None
