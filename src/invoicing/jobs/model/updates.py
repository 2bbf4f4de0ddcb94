"""The time by which a customer was told to hear of a job again, and what is written where nothing else is news."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from invoicing.jobs.model.promises import Reason

NEWS_WITHIN = timedelta(seconds=10)
"""Between the moment at which an update is written at the earliest and the one by which it was promised."""


@dataclass(frozen=True)
class Owed:
    """News that somebody was promised of a job that has not changed since; `revision` is what they saw."""

    job_id: UUID
    revision: int


@dataclass(frozen=True)
class Update:
    """No news, because: a proven cause, what is expected, and the next time by which there will be some."""

    job_id: UUID
    revision: int
    """What it must still be for this to be true when it is written."""
    reason: Reason
    ahead: int | None
    likely: datetime | None
    latest: datetime | None
    next_by: datetime
