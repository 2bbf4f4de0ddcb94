"""Who is told of something that nobody has acknowledged yet, and who will be told next: only somebody on duty."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from invoicing.rota.model.duty import MISSING, Post, Span, posts_at, spans
from invoicing.rota.model.people import Person, Rota

FORESEEN = timedelta(days=14)
"""How far ahead it is looked who will be told next."""


@dataclass(frozen=True)
class NextCall:
    """When somebody is told who is not told now, unless it is acknowledged before."""

    at: datetime
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Escalation:
    """Who is told now and who next; `findings` says what is wrong with that."""

    people: tuple[Person, ...]
    next: NextCall | None
    findings: tuple[str, ...] = ()


def escalation(rota: Rota, since: datetime, at: datetime, acknowledged: datetime | None = None) -> Escalation:
    """Say who is told at a moment of what began at `since`, and who is told next.

    A level whose time has come and of which nobody is on duty is passed over at once. Where nobody at all is on duty
    that is a finding (`nobody_on_duty`), and next are those who come on duty first. What is acknowledged calls nobody.
    """
    if acknowledged is not None and acknowledged <= at:
        return Escalation((), None)
    told = _called(rota, since, at, posts_at(rota, at))
    return Escalation(_people(rota, told), next_call(rota, since, at, told), () if told else (MISSING,))


def called(rota: Rota, since: datetime, at: datetime, posts: tuple[Post, ...]) -> tuple[Post, ...]:
    """Give those on duty whose level has its turn; where none of them is on duty, those of the next level that is.

    Before the first step nobody has.
    """
    reached = {step.level for step in rota.steps if since + step.after <= at}
    if not reached:
        return ()
    later = [{step.level} for step in rota.steps if since + step.after > at]
    for levels in (reached, *later):
        found = tuple(post for post in posts if post.level in levels)
        if found:
            return found
    return posts


def _called(rota: Rota, since: datetime, at: datetime, posts: tuple[Post, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(post.person for post in called(rota, since, at, posts)))


def next_call(rota: Rota, since: datetime, at: datetime, told: Collection[str]) -> NextCall | None:
    """Find the first moment at which somebody is told who was not told before."""
    for moment, posts in _changes(rota, since, at):
        fresh = [name for name in _called(rota, since, moment, posts) if name not in told]
        if fresh:
            return NextCall(moment, _people(rota, tuple(fresh)))
    return None


def _changes(rota: Rota, since: datetime, at: datetime) -> Iterator[tuple[datetime, tuple[Post, ...]]]:
    """Give the moments to come at which a step is reached or the people on duty change, with who is on duty then."""
    steps = sorted(since + step.after for step in rota.steps if since + step.after > at)
    horizon = max([at + FORESEEN, *(step + timedelta(microseconds=1) for step in steps)])
    for span in spans(rota, at, horizon):
        for moment in sorted({span.begins, *(step for step in steps if _in(step, span))}):
            if moment > at:
                yield moment, span.posts


def _in(moment: datetime, span: Span) -> bool:
    return span.begins <= moment < span.ends


def _people(rota: Rota, names: tuple[str, ...]) -> tuple[Person, ...]:
    return tuple(rota.person(name) for name in names)
