"""What anybody may know of how the service does: no customer, no lane, no machine."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from invoicing.diagnosis.model.conditions import BLIND_AFTER
from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Lane

LATELY = timedelta(days=30)
"""How far back incidents are shown that are over."""


class Work(StrEnum):
    """How much work a job is, as the public is told."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


class Pace(StrEnum):
    """How work of a size gets on; the last is the worst."""

    NORMAL = "normal"
    SLOW = "slow"
    HELD_UP = "held_up"
    UNKNOWN = "unknown"


_SIZES: Mapping[Work, frozenset[Size]] = MappingProxyType(
    {
        Work.SMALL: frozenset({Size.SMALL}),
        Work.MEDIUM: frozenset({Size.MEDIUM}),
        Work.LARGE: frozenset({Size.LARGE, Size.HUGE}),
    }
)

_HOLDS = frozenset({Cause.NO_WORKER, Cause.UNDELIVERED})
_SLOWS = frozenset({Cause.LOOP_BLOCKED, Cause.UNEXPLAINED, Cause.PROMISES_MISSED})


@dataclass(frozen=True)
class Disruption:
    """An incident, as far as anybody may know of it."""

    cause: Cause
    scope: str
    lanes: frozenset[str] | None
    since: datetime
    estimate: datetime | None = None
    quiet: bool = False
    """Whether its cause is not seen any more."""
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Outlook:
    """How the service does."""

    now: datetime
    looked_at: datetime
    """When somebody looked at the lanes last."""
    paused: frozenset[str]
    open: tuple[Disruption, ...]
    over: tuple[Disruption, ...]
    """The latest first."""


def paces(outlook: Outlook) -> Mapping[Work, Pace]:
    """Say how work of each size gets on; where nobody has looked for a while that is not known."""
    if outlook.now - outlook.looked_at > BLIND_AFTER:
        return dict.fromkeys(Work, Pace.UNKNOWN)
    return {work: _pace(outlook, _lanes_of(work)) for work in Work}


def _pace(outlook: Outlook, lanes: Collection[str]) -> Pace:
    touching = {one.cause for one in outlook.open if not one.quiet and _touches(one, lanes)}
    if touching & _HOLDS or outlook.paused & set(lanes):
        return Pace.HELD_UP
    return Pace.SLOW if touching & _SLOWS else Pace.NORMAL


def _touches(one: Disruption, lanes: Collection[str]) -> bool:
    return one.scope == EVERYWHERE or (one.lanes is not None and not one.lanes.isdisjoint(lanes))


def _lanes_of(work: Work) -> frozenset[str]:
    return frozenset(Lane(priority, size).name for priority in Priority for size in _SIZES[work])


def together(disruptions: Iterable[Disruption]) -> list[Disruption]:
    """Tell of each cause once, since when the first of its incidents lasts and when the last should be over."""
    found: dict[Cause, Disruption] = {}
    for one in disruptions:
        other = found.get(one.cause)
        if other is None:
            found[one.cause] = one
            continue
        known = other.estimate is not None and one.estimate is not None
        latest = max(one.estimate or one.since, other.estimate or one.since) if known else None
        found[one.cause] = replace(other, since=min(one.since, other.since), estimate=latest)
    return sorted(found.values(), key=lambda one: one.since)
