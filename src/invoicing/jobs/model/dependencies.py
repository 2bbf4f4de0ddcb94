"""What jobs need from outside the service, and a breaker for each: while it is down, one job at a time tries it.

A dependency has a name, which stays inside, and a title, which customers read. What a job needs is kept with it as the
names in order, with a space between.
"""

import re
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
"""How a dependency is named: it travels in notifications, where spaces, commas and colons part things."""

OPENS_AFTER = 3
"""So many failures in a row, with no success of such work between, prove that it is down: one or two happen to every
service, and each more would cost another job an attempt."""

FIRST_WAIT = timedelta(seconds=1)
"""How long after it was found down the first job tries it: so little it costs where that was an accident."""

LONGEST_WAIT = timedelta(minutes=2)
"""The pause before each try is twice the last, up to this: so much later, at most, does work go on than it could."""

LONGEST_ASKED = timedelta(hours=1)
"""Whoever asks for a longer pause is tried after this: a wrong header must not stop work for a day."""

PATIENCE = timedelta(minutes=5)
"""A try that is under way for longer answers nothing: another job goes, too."""

_SHARE_OF_OUTAGE = 3
"""But not before it has lasted for the third part of the outage: each holds a slot until its kind gives it up, and so
they are few however long that takes."""


@dataclass(frozen=True)
class Breaker:
    """How something outside does, as far as the ends of attempts tell."""

    name: str
    title: str
    failures: int = 0
    """In a row, with no success between."""
    error: str | None = None
    """The code of the latest."""
    failed_at: datetime | None = None
    """When the first of them came."""
    opened_at: datetime | None = None
    """Since when it is taken to be down; None: it is not."""
    tries: int = 0
    """How many jobs have tried it since."""
    next_try_at: datetime | None = None
    job_id: UUID | None = None
    """The job that tried last, or is trying."""
    attempt: int | None = None
    tried_at: datetime | None = None
    trying: bool = False
    """Whether that attempt is under way: released, or running."""

    @property
    def at_rest(self) -> bool:
        """Whether a success is no news."""
        return self.failures == 0 and self.opened_at is None


Breakers = Mapping[str, Breaker]
"""The open ones, by name."""


@dataclass(frozen=True)
class Said:
    """What the end of an attempt says of what it needed."""

    works: tuple[str, ...] = ()
    down: str | None = None
    title: str = ""
    error: str = ""
    retry_after: timedelta | None = None
    """What the dependency asked for."""

    @property
    def names(self) -> frozenset[str]:
        """Of what it says something."""
        return frozenset(self.works) if self.down is None else frozenset({self.down})


def signed(names: Iterable[str]) -> str:
    """Write what a job needs, always in the same way."""
    return " ".join(sorted(set(names)))


def first_shut(needs: str, shut: Container[str]) -> str | None:
    """Name the first of a job's needs that holds it back; the dispatcher and the explanation both ask this."""
    return next((name for name in needs.split() if name in shut), None)


def room_to_try(breakers: Breakers, now: datetime) -> dict[str, int]:
    """Say how many jobs may start that need what is down: none, or the one that tries it."""
    return {name: int(may_try(breaker, now)) for name, breaker in breakers.items()}


def may_try(breaker: Breaker, now: datetime) -> bool:
    """Tell whether it is time for a job to try, none being under way that would tell soon."""
    if breaker.opened_at is None or breaker.next_try_at is None:
        return True
    if breaker.trying and breaker.tried_at is not None:
        return now - breaker.tried_at >= max(PATIENCE, (now - breaker.opened_at) / _SHARE_OF_OUTAGE)
    return now >= breaker.next_try_at


def pause_after(tries: int) -> timedelta:
    """Wait twice as long after each try."""
    return min(FIRST_WAIT * (1 << min(tries, 20)), LONGEST_WAIT)  # far beyond the longest, and a timedelta holds it


def failed(breaker: Breaker, said: Said, now: datetime, *, tried: bool) -> Breaker:
    """Count a failure; `tried`: of the attempt that went to find out."""
    asked = now + min(said.retry_after or timedelta(0), LONGEST_ASKED)
    one = replace(
        breaker,
        title=said.title,
        failures=breaker.failures + 1,
        error=said.error,
        failed_at=breaker.failed_at or now,
    )
    if one.opened_at is None:
        if one.failures < OPENS_AFTER:
            return one
        return replace(one, opened_at=now, tries=0, next_try_at=max(now + FIRST_WAIT, asked))
    after = now + pause_after(one.tries) if tried or one.next_try_at is None else one.next_try_at
    return replace(one, next_try_at=max(after, asked), trying=one.trying and not tried)


def worked(breaker: Breaker, began: datetime) -> Breaker:
    """Count a success; of what is taken to be down only one that began after that was found says anything new."""
    if breaker.opened_at is not None and began < breaker.opened_at:
        return breaker
    return Breaker(breaker.name, breaker.title)


@dataclass(frozen=True)
class Sign:
    """What an attempt said whose end counts, and when it began."""

    said: Said
    job_id: UUID
    attempt: int
    began: datetime


def heard(breakers: Breakers, signs: Collection[Sign], now: datetime) -> dict[str, Breaker]:
    """Take in what attempts said that ended together: nobody knows in which order, so successes have the last word."""
    known = dict(breakers)
    for sign in signs:
        one = known.get(sign.said.down or "")
        if one is not None:
            tried = (one.job_id, one.attempt) == (sign.job_id, sign.attempt)
            known[one.name] = failed(one, sign.said, now, tried=tried)
    for sign in signs:
        for name in sign.said.works:
            if name in known:
                known[name] = worked(known[name], sign.began)
    return known
