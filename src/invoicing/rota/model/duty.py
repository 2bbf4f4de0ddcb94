"""Who is on duty at a moment, when that changes, and when nobody is."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from invoicing.jobs.model.calendars import is_holiday, moment_of
from invoicing.rota.model.people import Holidays, Override, Person, Rota, Shift

MISSING = "nobody_on_duty"
"""The finding that somebody should be called and nobody is on duty: an S1 by itself."""

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Duty:
    """A time in which somebody is on duty, by a shift."""

    begins: datetime
    ends: datetime
    person: str
    level: int


@dataclass(frozen=True, order=True)
class Post:
    """Somebody on duty at a level."""

    level: int
    person: str


@dataclass(frozen=True)
class Span:
    """A time in which the same people are on duty."""

    begins: datetime
    ends: datetime
    posts: tuple[Post, ...]


@dataclass(frozen=True)
class Gap:
    """A time that nobody covers."""

    begins: datetime
    ends: datetime


def on_duty(rota: Rota, at: datetime, level: int | None = None) -> tuple[Person, ...]:
    """Name who is on duty at a moment, the first level first; or those of one level alone."""
    posts = posts_at(rota, at)
    return tuple(dict.fromkeys(rota.person(post.person) for post in posts if level in {None, post.level}))


def posts_at(rota: Rota, at: datetime) -> tuple[Post, ...]:
    """Give who is on duty at a moment, with their levels."""
    (span,) = spans(rota, at, at + _INSTANT)
    return span.posts


def spans(rota: Rota, begins: datetime, ends: datetime) -> list[Span]:
    """Divide a time by who is on duty; two neighbours differ."""
    pieces = [Span(*piece) for piece in _pieces(rota, begins, ends)]
    merged = []
    for posts, same in groupby(pieces, lambda piece: piece.posts):
        together = list(same)
        merged.append(Span(together[0].begins, together[-1].ends, posts))
    return merged


def gaps(rota: Rota, begins: datetime, ends: datetime) -> list[Gap]:
    """Find the hours of a time that nobody covers, changes of the clock and public holidays included."""
    return [Gap(span.begins, span.ends) for span in spans(rota, begins, ends) if not span.posts]


def next_on_duty(rota: Rota, at: datetime, within: timedelta) -> Span | None:
    """Find when somebody is on duty next, from a moment on; None: nobody within that time."""
    return next((span for span in spans(rota, at, at + within) if span.posts), None)


def shift_duties(shift: Shift, begins: datetime, ends: datetime) -> Iterator[Duty]:
    """Give the times of a shift that lie in a time or reach into it.

    An hour that a change of the clock leaves out is nobody's, one that it repeats is covered twice over.
    """
    zone, calendar = ZoneInfo(shift.zone), shift.calendar
    day = begins.astimezone(zone).date() - _DAY  # a shift of yesterday may last until today
    last = ends.astimezone(zone).date()
    if shift.since is not None:
        day = max(day, shift.since)
    if shift.until is not None:
        last = min(last, shift.until)
    while day <= last:
        if day.weekday() in shift.weekdays and _worked(shift, holiday=is_holiday(calendar, day)):
            over = day + _DAY if shift.ends <= shift.begins else day
            start, stop = moment_of(calendar, day, shift.begins), moment_of(calendar, over, shift.ends)
            if start < stop and start < ends and stop > begins:
                yield Duty(start, stop, shift.on_turn(day), shift.level)
        day += _DAY


def _worked(shift: Shift, *, holiday: bool) -> bool:
    match shift.holidays:
        case Holidays.OFF:
            return not holiday
        case Holidays.ONLY:
            return holiday
        case Holidays.TOO:
            return True


def _pieces(rota: Rota, begins: datetime, ends: datetime) -> Iterator[tuple[datetime, datetime, tuple[Post, ...]]]:
    """Go from change to change, with what holds between two of them."""
    starts: dict[datetime, list[Duty | Override]] = defaultdict(list)
    stops: dict[datetime, list[Duty | Override]] = defaultdict(list)
    for one in _within(rota, begins, ends):
        starts[max(one.begins, begins)].append(one)
        stops[min(one.ends, ends)].append(one)
    active: list[Duty | Override] = []
    for moment, following in pairwise(sorted({begins, ends, *starts, *stops})):
        for one in stops.get(moment, ()):
            active.remove(one)
        active += starts.get(moment, ())
        yield moment.astimezone(UTC), following.astimezone(UTC), _present(active)


def _within(rota: Rota, begins: datetime, ends: datetime) -> Iterable[Duty | Override]:
    for shift in rota.shifts:
        yield from shift_duties(shift, begins, ends)
    yield from (one for one in rota.overrides if one.begins < ends and one.ends > begins)


def _present(active: Sequence[Duty | Override]) -> tuple[Post, ...]:
    """Say who is on duty while all these hold; overrides come in the order in which they were made."""
    posts = {Post(one.level, one.person) for one in active if isinstance(one, Duty)}
    overrides = sorted((one for one in active if isinstance(one, Override)), key=lambda one: one.id)
    for one in overrides:
        if one.replaces is None:
            posts.add(Post(one.level, one.person))
        else:
            posts = {Post(p.level, one.person) if p.person == one.replaces else p for p in posts}
    return tuple(sorted(posts))
