"""What the simulated service has: jobs and workers; and what is told of it."""

from dataclasses import dataclass
from math import floor
from uuid import UUID

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Severity
from invoicing.lanes.model import Lane

KINDS = ("drill", "register.entry")
_NO_ID = UUID(int=0)


@dataclass(frozen=True)
class Opened:
    """An incident that somebody is told of."""

    at_s: float
    cause: Cause
    scope: str
    severity: Severity


@dataclass(eq=False)
class Task:
    """A job of the simulation."""

    customer: int
    kind: str
    lane: Lane
    takes_s: float
    fails: str | None = None
    promise_s: float | None = None
    """By when it is promised, from its submission; None: in good time."""
    id: UUID = _NO_ID
    left_s: float = 0.0
    submitted_s: float = 0.0
    due_s: float = 0.0
    released_s: float | None = None
    started_s: float = 0.0
    host: str | None = None
    lost_by: UUID | None = None
    stalled_s: float | None = None
    forgotten: bool = False
    error: str | None = None
    attempt: int = 0

    @property
    def customer_id(self) -> UUID:
        """Name its customer."""
        return UUID(int=self.customer + 1)

    def sign_s(self, now_s: float) -> float:
        """Say when it last showed that it moves."""
        seen_s = now_s if self.stalled_s is None else min(now_s, self.stalled_s)
        return self.started_s + floor((seen_s - self.started_s) / self.gap_s) * self.gap_s

    @property
    def gap_s(self) -> float:
        """Say how far its checkpoints lie apart."""
        return min(20.0, max(1.0, self.takes_s / 100))


@dataclass
class Host:
    worker_id: UUID
    slots: int
    kinds: tuple[str, ...] = KINDS
    silent_s: float | None = None
    blocked_s: float | None = None
