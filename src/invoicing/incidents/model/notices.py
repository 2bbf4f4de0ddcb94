"""What an incident's customers are told, and when: whose jobs it touches now, and when they hear of it again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Incident

TOLD_AFTER = timedelta(seconds=15)
"""How long an incident must have lasted before customers are told: one that is over sooner is told to nobody."""

HOLD_OFF = timedelta(minutes=5)
"""How far apart messages about an estimate that moves are at least."""

MOVED = timedelta(minutes=1)
"""An estimate that moves by less says nothing new."""

NEXT_AFTER = timedelta(minutes=30)
"""When customers hear more after the first message, where nobody knows when it is over."""

LATER_NEXT_AFTER = timedelta(hours=2)
"""The same after later messages."""

AFTER_THE_ESTIMATE = timedelta(minutes=5)
"""When they hear more where an estimate was told: it is over by then, or that is what they hear."""

IN_TIME = timedelta(minutes=1)
"""How long before the time that was told the next message is written."""

MOST_JOBS = 1000
"""Jobs that are looked at where they are found one by one."""

IN_LANES = frozenset({Cause.NO_WORKER, Cause.UNDELIVERED, Cause.UNEXPLAINED})
"""Causes that hold what waits in lanes; the others hold jobs that are found one by one."""

UNTOLD = frozenset({Cause.UNDELIVERED_RESULT, Cause.WATCHDOG_BLIND, Cause.NOBODY_ON_DUTY})
"""Causes of which no messages are sent: where none can be delivered, and where no job is touched."""


@dataclass(frozen=True)
class Touch:
    """Which jobs of a customer an incident touches now: so many in lanes, and others one by one."""

    cause: Cause
    waiting: int = 0
    lanes: frozenset[str] = frozenset()
    job_ids: frozenset[UUID] = frozenset()
    at_least: bool = False

    @property
    def jobs(self) -> int:
        """How many jobs these are."""
        return self.waiting + len(self.job_ids)

    def with_other(self, other: "Touch") -> "Touch":
        """Add what another cause of the same incident touches; the first names it."""
        return replace(
            self,
            waiting=max(self.waiting, other.waiting),
            lanes=self.lanes | other.lanes,
            job_ids=frozenset(sorted(self.job_ids | other.job_ids)[:MOST_JOBS]),
            at_least=True,
        )


@dataclass(frozen=True)
class Subject:
    """One cause that an incident stands for, and what it holds now; None: whichever."""

    cause: Cause
    since: datetime
    lanes: Collection[str] | None
    kinds: Collection[str] | None
    workers: Collection[UUID] | None
    error: str | None
    needs: str | None = None
    """What the jobs need from outside."""


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs of a customer that an incident touched."""

    touched: int
    succeeded: int
    failed: int
    cancelled: int
    running: int
    waiting: int


def subjects_of(whole: Incident, parts: Collection[Incident]) -> list[Subject]:
    """List what an incident stands for: its own cause, and those that were merged with it, as far as they hold."""
    found = (_subject(one, whole) for one in (whole, *parts) if one.cause not in UNTOLD)
    return [one for one in found if one is not None]


def _subject(one: Incident, whole: Incident) -> Subject | None:
    """Say what one cause holds; None: it does not hold any more, though others of the same incident do."""
    evidence = one.evidence
    if one is whole and "findings" in evidence:
        own = [each for each in evidence["findings"] if (each["cause"], each["scope"]) == (one.cause, one.scope)]
        if not own:
            return None
        evidence = own[0]
    elif one is whole and not _is_its_own(whole):
        return None
    lanes = _narrowed(_lanes_of(one, evidence), whole.reach.lanes)
    kind = evidence.get("kind")
    kinds = _narrowed(evidence.get("kinds") if kind is None else [kind], whole.reach.kinds)
    held = _narrowed(_workers_of(one, evidence), whole.reach.workers)
    if any(each is not None and not each for each in (lanes, kinds, held)):
        return None
    return Subject(one.cause, one.since, lanes, kinds, held, evidence.get("error"), evidence.get("dependency"))


def _is_its_own(whole: Incident) -> bool:
    """Tell whether what holds now is an incident's own cause: if it is that of a part, it is bounded otherwise."""
    reach = whole.reach
    bounds = {"lane": reach.lanes, "kind": reach.kinds, "host": reach.workers, "dependency": reach.needs}
    sort, _, name = whole.scope.partition(":")
    return not name or bounds.get(sort) is not None


def _lanes_of(one: Incident, evidence: Mapping[str, Any]) -> Collection[str] | None:
    if one.scope.startswith("lane:"):
        return [one.scope.removeprefix("lane:")]
    if one.scope == EVERYWHERE or one.cause is Cause.NO_CAPABLE_WORKER:
        found: Collection[str] | None = evidence.get("lanes")
        return found
    return None


def _workers_of(one: Incident, evidence: Mapping[str, Any]) -> Collection[UUID] | None:
    """Name the workers of a host; the evidence of a lane counts its workers under the same word."""
    if not one.scope.startswith("host:"):
        return None
    return [UUID(str(each)) for each in evidence.get("workers", ())] or None


def _narrowed(values: Collection[Any] | None, to: Collection[Any] | None) -> list[Any] | None:
    if values is None or to is None:
        return None if values is to is None else sorted(values or to or ())
    return sorted(set(values) & set(to))


def standing(estimate: datetime | None, now: datetime) -> datetime | None:
    """Give an estimate as long as it may be told; one that is over without the incident says nothing any more."""
    lapsed = estimate is not None and estimate + AFTER_THE_ESTIMATE - IN_TIME <= now
    return None if lapsed else estimate


def next_update(estimate: datetime | None, now: datetime, *, first: bool) -> datetime:
    """Say by when customers hear of an incident again if it is not over before."""
    if estimate is not None and estimate > now:
        return estimate + AFTER_THE_ESTIMATE
    return now + (NEXT_AFTER if first else LATER_NEXT_AFTER)
