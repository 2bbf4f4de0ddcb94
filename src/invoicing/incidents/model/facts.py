"""What was read to find causes: few values each, whatever waits behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from invoicing.lanes.model import Lane


@dataclass(frozen=True)
class Held:
    """A condition that holds a lane."""

    lane: Lane
    cause: str
    since: datetime
    evidence: Mapping[str, Any] = field(default_factory=dict)
    spares: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Backlog:
    """How much waits in a lane, or everywhere."""

    jobs: int
    customers: int


@dataclass(frozen=True)
class Broken:
    """Unfinished jobs of a lane and kind whose promise is missed or at risk; counts are bounded."""

    lane: Lane
    kind: str
    running: bool
    missed: int
    at_risk: int
    customers: int
    oldest: datetime
    at_least: bool = False
    needs: str = ""
    """What they need from outside."""
    decided: bool = False
    """Whether they wait for a reviewer, or for a place in a quota: no fault holds them."""


@dataclass(frozen=True)
class OnRunway:
    """Jobs that are about to start, of a lane and kind."""

    lane: Lane
    kind: str
    jobs: int
    customers: int


@dataclass(frozen=True)
class InHand:
    """What a worker holds, or had when it was lost and has not begun again."""

    worker_id: UUID
    jobs: int
    customers: int
    oldest: datetime
    latest: datetime
    """When the last of it was lost, or is given to others."""


@dataclass(frozen=True)
class Failures:
    """Jobs of a kind that failed lately with one error, beside those of the kind that succeeded."""

    kind: str
    error: str
    jobs: int
    customers: int
    waiting: int
    """Those that wait to be tried again, however long ago they failed."""
    first: datetime
    latest: datetime
    succeeded: int


@dataclass(frozen=True)
class Quarantine:
    """Jobs of a kind that are under quarantine."""

    kind: str
    jobs: int
    customers: int
    first: datetime
    latest: datetime
    at_least: bool = False


@dataclass(frozen=True)
class Refusal:
    """Endpoints of a customer that take nothing."""

    customer_id: UUID
    endpoints: int
    messages: int
    since: datetime
    next_try_at: datetime
    at_least: bool = False


@dataclass(frozen=True)
class Stuck:
    """A job of which a rule said why it does not move, as far as incidents want to know."""

    job_id: UUID
    customer_id: UUID
    kind: str
    lane: Lane
    since: datetime
    submitted_at: datetime
    needs: str = ""
    """What it needs from outside, by name."""
