"""What a rule about a cause answers: holds, does not hold, or unknown, with its evidence and the age of that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from invoicing.diagnosis.model.facts import Facts


class Code(StrEnum):
    """The causes that can be proven today, in the order of their rules."""

    IN_REVIEW = "in_review"
    AWAITING_QUOTA = "awaiting_quota"
    SCHEDULED = "scheduled"
    DEPENDENCY_DOWN = "dependency_down"
    RETRY_BACKOFF = "retry_backoff"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    NO_CAPABLE_WORKER = "no_capable_worker"
    LOOP_BLOCKED = "loop_blocked"
    UNDELIVERED = "undelivered"
    CUSTOMER_LIMIT = "customer_limit"
    LANE_SATURATED = "lane_saturated"
    STARTING = "starting"
    WORKER_LOST = "worker_lost"
    CANCEL_PENDING = "cancel_pending"
    NO_PROGRESS = "no_progress"
    SLOWER_THAN_NORMAL = "slower_than_normal"
    RUNNING_NORMALLY = "running_normally"
    POISON = "poison"
    REJECTED = "rejected"
    BAD_INPUT = "bad_input"
    ATTEMPTS_FAILED = "attempts_failed"
    UNDELIVERED_RESULT = "undelivered_result"
    UNEXPLAINED = "unexplained"


class Answer(StrEnum):
    """Whether a cause is proven, disproven, or neither."""

    HOLDS = "holds"
    DOES_NOT_HOLD = "does_not_hold"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One rule's answer; `evidence` may be shown to the customer, so it names no machine, person or other customer."""

    code: Code
    answer: Answer
    observed_at: datetime
    since: datetime | None = None
    until: datetime | None = None
    """When the cause is known to end, or to be dealt with."""
    wording: str = "plain"
    """Which of the catalogue's texts for this code fits."""
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the cause is proven."""
        return self.answer is Answer.HOLDS


Rule = Callable[[Facts], Check]


def proven(
    code: Code,
    facts: Facts,
    since: datetime | None,
    *,
    until: datetime | None = None,
    wording: str = "plain",
    evidence: Mapping[str, Any] | None = None,
) -> Check:
    """Answer that a cause holds; a beginning later than the snapshot is a racing commit and counts as now."""
    began = None if since is None else min(since, facts.now)
    return Check(code, Answer.HOLDS, facts.now, began, until, wording, dict(evidence or {}))


def disproven(code: Code, facts: Facts) -> Check:
    """Answer that a cause does not hold."""
    return Check(code, Answer.DOES_NOT_HOLD, facts.now)


def unknown(code: Code, facts: Facts) -> Check:
    """Answer that the facts do not tell."""
    return Check(code, Answer.UNKNOWN, facts.now)
