"""A maintenance window: when it is in force, what it covers, and whose pages it silences."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from invoicing.lanes.model import BY_NAME

SHIFT_AHEAD = timedelta(hours=1)
"""How long before a window promises are shifted: most jobs that are unfinished now will have ended by then, and their
customers are told nothing that does not concern them."""

LONGEST = timedelta(days=7)
FARTHEST = timedelta(days=366)
JUST_NOW = timedelta(minutes=1)
"""A window that begins at once began a moment ago when the request for it arrives."""


class Stage(StrEnum):
    """How far a window has come."""

    PLANNED = "planned"
    IN_FORCE = "in_force"
    OVER = "over"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Window:
    """A time in which lanes are worked on."""

    id: UUID
    begins: datetime
    ends: datetime
    lanes: tuple[str, ...]
    reason: str
    """Customers read it."""
    internal_reason: str
    drain: bool
    """Whether the lanes stand still meanwhile."""
    shift_promises: bool
    by: str
    """Role and name."""
    created_at: datetime
    announced_at: datetime | None = None
    """When all had been told whom it touches."""
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    shifted: int = 0
    """Promises that were shifted."""

    @property
    def length(self) -> timedelta:
        """How long it lasts."""
        return self.ends - self.begins

    @property
    def role(self) -> str:
        """Which role planned it."""
        return self.by.partition(":")[0]


def stage_of(window: Window, at: datetime) -> Stage:
    """Say how far a window has come at a moment."""
    over = window.ended_at or window.ends
    if window.ended_at is not None and window.ended_at < window.begins:
        return Stage.CANCELLED
    if at < window.begins:
        return Stage.PLANNED
    return Stage.IN_FORCE if at < over else Stage.OVER


def covers(window: Window, scope: str) -> bool:
    """Tell whether a window covers a scope (a lane, a host, `*`): its lanes, and with every lane anything at all."""
    return scope in window.lanes or set(window.lanes) >= BY_NAME.keys()


def shifts_now(window: Window, at: datetime) -> bool:
    """Tell whether promises have to be shifted for a window at a moment."""
    return window.shift_promises and window.begins - SHIFT_AHEAD <= at < (window.ended_at or window.ends)


def faults_of(begins: datetime, ends: datetime, now: datetime) -> tuple[str, str, str] | None:
    """Say what is wrong with the times of a window: the field, what, and what to do; None: nothing."""
    if begins < now - JUST_NOW:
        return "/from", "A window cannot begin in the past.", "Leave `from` out to begin at once."
    if begins > now + FARTHEST:
        return "/from", "That is more than a year ahead.", "Plan it nearer to its time."
    if ends <= max(begins, now):
        return "/until", "A window ends after it begins.", "Give an `until` that is later than `from`."
    if ends - begins > LONGEST:
        return "/until", "A window lasts a week at most.", "Give an earlier `until`, or plan several windows."
    return None
