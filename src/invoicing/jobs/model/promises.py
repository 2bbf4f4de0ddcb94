"""How a promise stands: by what is expected while its job goes on, and by what happened once it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from invoicing.jobs.model.standing import Cause, Eta
from invoicing.jobs.model.states import State


class PromiseStatus(StrEnum):
    """How the promise of a job stands."""

    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    MISSED = "missed"
    KEPT = "kept"


class News(StrEnum):
    """What is told of a promise; the first three are also how it stands afterwards."""

    AT_RISK = "at_risk"
    ON_TRACK = "on_track"
    MISSED = "missed"
    MOVED = "moved"


_NEAR = 0.1
"""The last part of the promised time; whose end is not foreseeable then is at risk, whatever the reason."""
_NEAR_LEAST, _NEAR_MOST = timedelta(seconds=20), timedelta(hours=2)

_SURE = 0.8
"""A job at risk is on track again when its latest end lies within so much of the time left: not when it barely fits,
or its customer would be told one thing now and the other a moment later."""


@dataclass(frozen=True)
class Promised:
    """The promise of an unfinished job: how it stood when it was last told of, and what it is about."""

    status: PromiseStatus
    due: datetime
    given_at: datetime


def standing_of(
    promised: Promised, eta: Eta | None, now: datetime, not_before: datetime | None = None
) -> PromiseStatus:
    """Say how the promise of an unfinished job stands: at risk before it breaks, or not at all.

    One that is not to start before a time is at risk where that lies behind the promise, though nobody knows its end.
    """
    if now > promised.due:
        return PromiseStatus.MISSED
    left, was_at_risk = promised.due - now, promised.status is PromiseStatus.AT_RISK
    if eta is None:
        near = min(max(_NEAR * (promised.due - promised.given_at), _NEAR_LEAST), _NEAR_MOST)
        too_late = not_before is not None and not_before >= promised.due
        at_risk = was_at_risk or left <= near or too_late
    else:
        at_risk = eta.latest > (now + _SURE * left if was_at_risk else promised.due)
    return PromiseStatus.AT_RISK if at_risk else PromiseStatus.ON_TRACK


def kept_at_the_end(state: State, finished_at: datetime, due: datetime) -> PromiseStatus:
    """Say how a promise stood at the end: a job that died broke it, however early; one cancelled in time did not."""
    kept = finished_at <= due and state is not State.DEAD
    return PromiseStatus.KEPT if kept else PromiseStatus.MISSED


@dataclass(frozen=True)
class Reason:
    """Why a promise is at risk, missed or moved: a proven cause, in words for the customer."""

    code: str
    message: str
    """In English, as it was told first."""
    wording: str | None = None
    """None: it was told before sentences were kept apart from their language."""
    fields: Mapping[str, Any] | None = None


def reason_of(cause: Cause) -> Reason:
    """Keep of a cause what tells it again, in any language."""
    return Reason(cause.code, cause.message, cause.wording, cause.fields)


@dataclass(frozen=True)
class Notice:
    """Something to be told of a promise, and how it must stand for that to be true when it is written."""

    job_id: UUID
    news: News
    was: PromiseStatus
    due: datetime
    likely: datetime | None
    latest: datetime | None
    reason: Reason | None


@dataclass(frozen=True)
class PromiseChange:
    """What was told of a promise: a row of its history; `seq` is its place in the timeline."""

    seq: int
    at: datetime
    news: News
    due: datetime
    moved_from: datetime | None
    likely: datetime | None
    latest: datetime | None
    reason: Reason | None
    by: str
    """Who changed it: a role of our staff, or `service`."""
    told_at: datetime | None = None
    """When the first receiver had it."""
