"""What is known about a job beyond its row: why it does not move, when it should end, what is normal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Cause:
    """A proven reason why an unfinished job does not move, in words for its customer."""

    code: str
    message: str
    since: datetime | None
    observed_at: datetime
    next_update_by: datetime | None
    evidence: Mapping[str, Any]
    wording: str | None = None
    """Which of the sentences about its code fits; with `fields` it can be told again in another language."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The part of the evidence that its sentence names."""


@dataclass(frozen=True)
class Eta:
    """When a job is expected to end, as an interval; `similar_jobs` is what it was learned from.

    `confidence` is the share of jobs that should end inside; None where it cannot be stated.
    """

    earliest: datetime
    likely: datetime
    latest: datetime
    confidence: float | None
    similar_jobs: int


@dataclass(frozen=True)
class Normal:
    """How long jobs of this kind and size take (seconds), and where this one stands against that."""

    p50_s: float | None
    p90_s: float | None
    verdict: str
    similar_jobs: int


@dataclass(frozen=True)
class Correction:
    """What experience makes of a kind's own estimates: actual / estimated of a job of usual size.

    Nine of ten lie between `p05` and `p95`. The work grows as estimate^`exponent`. `own` is of one customer's jobs.
    """

    jobs: int
    p05: float
    p50: float
    p95: float
    exponent: float
    own_jobs: int
    own_p50: float


@dataclass(frozen=True)
class IncidentNotice:
    """An incident that touches a job, in words for its customer."""

    id: UUID
    severity: str
    title: str
    since: datetime
    estimate: datetime | None
    """When it should be over; None: nobody knows."""
    acknowledged: bool
    """Whether a person looks after it."""


@dataclass(frozen=True)
class Standing:
    """What is known about a job beyond its row; None means unknown, never a guess. A finished job has no cause."""

    ahead: int | None = None
    """Jobs that start before this one; where the cause's evidence says `ahead_at_least`, there are more."""
    at_least: int = 0
    """The band in which their number should lie, for it changes with what comes, ends or is cancelled meanwhile."""
    at_most: int | None = None
    eta: Eta | None = None
    not_before: datetime | None = None
    """When what holds it ends at the earliest, as far as that is known; told even where no end can be foreseen."""
    normal: Normal | None = None
    cause: Cause | None = None
    incident: IncidentNotice | None = None
