"""What is due to ops about an incident: silence, the news of it, or a call to those on duty.

Somebody is called once for an incident, whichever levels they have; after it was reopened, once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from invoicing.alerts.model import Severity, Turn
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import Incident, IncidentState
from invoicing.maintenance.model import Window
from invoicing.rota.model import Post, Rota, called


@dataclass(frozen=True)
class Call:
    """Somebody was called about an incident."""

    person: str
    name: str
    level: int
    at: datetime


@dataclass(frozen=True)
class Progress:
    """How far ops have been told of an incident since it was opened, or reopened last."""

    silenced_by: UUID | None = None
    since: datetime | None = None
    """Steps are counted from then; None: it has called nobody yet."""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Silence:
    """Note that a window keeps ops from being told."""

    window: Window


@dataclass(frozen=True)
class Announce:
    """Tell ops of it, as nothing keeps them from that any more."""


@dataclass(frozen=True)
class Summon:
    """Call those who have their turn; nobody: only count from now."""

    posts: tuple[Post, ...]


Due = Silence | Announce | Summon


@dataclass(frozen=True)
class Facts:
    """What decides what is due; `rota` None: nobody has written one."""

    now: datetime
    rota: Rota | None
    posts: tuple[Post, ...]
    """Who is on duty."""


def calls(incident: Incident) -> bool:
    """Tell whether an incident may call somebody: its cause holds, and nobody looks after it."""
    held = incident.state is IncidentState.OPEN and incident.quiet_since is None
    return held and incident.cause is not Cause.NOBODY_ON_DUTY


def steps_of(incident: Incident, rota: Rota | None) -> Rota | None:
    """Give the rota with the steps that an incident takes; None: it calls nobody."""
    if rota is None or not calls(incident):
        return None
    taken = rota.taken_by(Severity(incident.severity))
    return taken if taken.steps else None


def due(incident: Incident, progress: Progress, facts: Facts, window: Window | None, *, told: bool) -> Due | None:
    """Say what is due about a live incident; `told`: ops know of it. None: nothing.

    One that ops were told of goes on whatever window begins. One whose cause is not seen any more wakes nobody.
    """
    if not told and window is not None:
        return None if progress.silenced_by == window.id else Silence(window)
    if not told:
        return Announce() if incident.quiet_since is None else None
    rota = steps_of(incident, facts.rota)
    if rota is None:
        return None
    fresh = _fresh(rota, progress, facts)
    return Summon(fresh) if fresh or progress.since is None else None


def _fresh(rota: Rota, progress: Progress, facts: Facts) -> tuple[Post, ...]:
    """Name those who have their turn and were not called before, each once."""
    reached = called(rota, progress.since or facts.now, facts.now, facts.posts)
    before = {call.person for call in progress.calls}
    first = {post.person: post for post in reversed(reached) if post.person not in before}
    return tuple(sorted(first.values()))


def turns(incident: Incident, progress: Progress, facts: Facts) -> Sequence[Turn]:
    """Say who was called and who will be, as far as it follows from who is on duty now."""
    found = {call.person: Turn(call.name, call.level, call.at, _pager(call.person, facts)) for call in progress.calls}
    rota, since = steps_of(incident, facts.rota), progress.since or facts.now
    if rota is None:
        return tuple(found.values())
    coming = [(post, facts.now) for post in _fresh(rota, progress, facts)]
    for step in rota.steps:
        moment = max(facts.now, since + step.after)
        coming += [(post, moment) for post in facts.posts if post.level == step.level]
    for post, moment in coming:
        person = rota.person(post.person)
        found.setdefault(post.person, Turn(person.name, post.level, moment, person.pagerduty))
    return tuple(found.values())


def _pager(person_id: str, facts: Facts) -> str | None:
    """Give the PagerDuty user of somebody who was called, if the rota still has them."""
    people = () if facts.rota is None else facts.rota.people
    return next((one.pagerduty for one in people if one.id == person_id), None)
