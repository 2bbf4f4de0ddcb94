"""On-call calendars (iCalendar, RFC 5545): duties written for any calendar program, and read from one.

What is read came from outside: how much of it, how far it reaches and how long reading takes are all bounded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event, vCalAddress, vText

from invoicing.rota.model import Person, Post, Rota, spans
from invoicing.rota.model.recurrence import Recurrence, RecurrenceError

MOST_EVENTS = 5_000
MOST_DUTIES = 5_000
MOST_RULES = 200
"""Of recurring events: each is followed day by day from its beginning on."""
READ_AHEAD = timedelta(days=400)
"""How far recurring events are read: what is to be on duty after that is read with the next import."""

_PERSON, _LEVEL = "X-INVOICING-PERSON", "X-INVOICING-LEVEL"


class IcalError(ValueError):
    """A calendar cannot be read."""


_UNUSABLE = (IcalError, RecurrenceError, ValueError, OverflowError, AttributeError, TypeError, KeyError)
"""What one event may be refused with, whatever the library makes of it; the others are read all the same."""

_EARLIEST = date(2000, 1, 1)
_LONGEST = timedelta(days=31)
_MARGIN = timedelta(days=366)
"""Around what is written, the time of which changes of the clock are told."""


@dataclass(frozen=True)
class Called:
    """A time in which a calendar has somebody on duty."""

    begins: datetime
    ends: datetime
    person: str
    level: int
    uid: str


@dataclass(frozen=True)
class Read:
    """What a calendar says; `skipped` names the events that say nothing usable, and why."""

    duties: Sequence[Called]
    skipped: Sequence[str]


def written(rota: Rota, begins: datetime, ends: datetime, stamp: datetime) -> bytes:
    """Write who is on duty in a time, overrides included: an event for each unbroken duty, with its time zone."""
    calendar = Calendar()
    calendar.add("prodid", "-//invoicing//rota//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "On call")
    zone = ZoneInfo(zone_of(rota))
    for post, start, stop in sorted(_duties(rota, begins, ends), key=lambda one: (one[1], one[0])):
        calendar.add_component(_event(rota.person(post.person), post, start, stop, zone, stamp))
    calendar.add_missing_timezones(begins.date() - _MARGIN, ends.date() + _MARGIN)
    return bytes(calendar.to_ical())


def zone_of(rota: Rota) -> str:
    """Name the zone in which times without one are meant."""
    return rota.shifts[0].zone if rota.shifts else "UTC"


def _event(who: Person, post: Post, start: datetime, stop: datetime, zone: ZoneInfo, stamp: datetime) -> Event:
    event = Event()
    event.add("uid", f"{uuid5(NAMESPACE_URL, f'{post.level}:{post.person}:{start.isoformat()}')}@invoicing")
    event.add("dtstamp", stamp.replace(microsecond=0))
    event.add("dtstart", start.astimezone(zone))
    event.add("dtend", stop.astimezone(zone))
    event.add("summary", f"On call {post.level}: {who.name}")
    attendee = vCalAddress(f"mailto:{who.mail}")
    attendee.params["CN"] = vText(who.name)
    event.add("attendee", attendee)
    event.add(_PERSON, who.id)
    event.add(_LEVEL, str(post.level))
    return event


def _duties(rota: Rota, begins: datetime, ends: datetime) -> Iterator[tuple[Post, datetime, datetime]]:
    """Join what goes on from one span to the next."""
    since: dict[Post, datetime] = {}
    for span in spans(rota, begins, ends):
        for post in since.keys() - set(span.posts):
            yield post, since.pop(post), span.begins
        for post in span.posts:
            since.setdefault(post, span.begins)
    for post, start in since.items():
        yield post, start, ends


def read(text: bytes, rota: Rota, now: datetime, level: int = 1) -> Read:
    """Read the duties of a calendar that are not over, recurring ones for `READ_AHEAD`.

    Whose duty an event is: by `X-INVOICING-PERSON`, else an attendee's mail, else its summary (an id, name or mail).
    Raises `IcalError` where it is no calendar, or has more than a rota ever has.
    """
    try:
        events = [one for one in Calendar.from_ical(text).walk("VEVENT") if isinstance(one, Event)]
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise IcalError("This is no calendar in the format iCalendar (RFC 5545).") from error
    if len(events) > MOST_EVENTS:
        raise IcalError(f"The calendar has {len(events):,} events; {MOST_EVENTS:,} may be read.")
    reader = _Reader(rota, now, level)
    for event in events:
        reader.take(event)
    duties = sorted(reader.duties(), key=lambda one: (one.begins, one.person))
    if len(duties) > MOST_DUTIES:
        raise IcalError(f"The calendar has {len(duties):,} duties; {MOST_DUTIES:,} may be read.")
    return Read(duties, reader.skipped)


@dataclass
class _Reader:
    """Collects events: those that change one time of a recurring event replace it."""

    rota: Rota
    now: datetime
    level: int
    skipped: list[str] = field(default_factory=list)
    rules: int = 0
    _plain: list[tuple[str, Event]] = field(default_factory=list)
    _changed: dict[tuple[str, datetime], Event] = field(default_factory=dict)

    @property
    def _zone(self) -> tzinfo:
        return ZoneInfo(zone_of(self.rota))

    def take(self, event: Event) -> None:
        """Sort an event in."""
        uid = str(event.get("UID", ""))[:200]
        changed = _part(event, "RECURRENCE-ID")
        try:
            if changed is None:
                self._plain.append((uid, event))
            else:
                self._changed[uid, self._moment(changed.dt)] = event
        except _UNUSABLE as error:
            self._skip(event, error)

    def duties(self) -> Iterator[Called]:
        """Give the duties of all events that say something usable."""
        for uid, event in self._plain:
            yield from self._usable(uid, event, self._times)
        for (uid, _), event in self._changed.items():
            yield from self._usable(uid, event, lambda one: iter([self._time(one)]))

    def _usable(self, uid: str, event: Event, times: Any) -> list[Called]:  # noqa: ANN401 - a method of this class
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            return []
        try:
            person, level = self._person(event), self._level(event)
            found = [Called(start, stop, person, level, uid) for start, stop in times(event)]
        except _UNUSABLE as error:
            self._skip(event, error)
            return []
        return [one for one in found if self.now < one.ends and one.begins < self.now + READ_AHEAD]

    def _skip(self, event: Event, error: Exception) -> None:
        known = isinstance(error, IcalError | RecurrenceError)
        name = "".join(one for one in str(event.get("SUMMARY", "(no summary)")) if one.isprintable())
        self.skipped.append(f"{name[:100]}: {error if known else 'It has a time that makes no sense.'}")

    def _times(self, event: Event) -> Iterator[tuple[datetime, datetime]]:
        """Give the times of an event that may recur, without those that are changed or left out."""
        uid, (begins, ends) = str(event.get("UID", ""))[:200], self._time(event)
        left_out = {self._moment(one.dt) for part in _parts(event, "EXDATE") for one in part.dts}
        left_out |= {moment for other, moment in self._changed if other == uid}
        starts = dict.fromkeys([*self._recurring(event, begins), *self._added(event)])
        for start in starts:
            if start not in left_out:
                yield start, self._end(event, start, ends - begins)

    def _recurring(self, event: Event, begins: datetime) -> Iterator[datetime]:
        rules = _parts(event, "RRULE")
        if not rules:
            yield begins
            return
        given = _part(event, "DTSTART").dt
        clock, zone = _clock(given), self._zone_of(given)
        first, horizon = _day(given), (self.now + READ_AHEAD).astimezone(UTC).date()
        for rule in rules:
            self.rules += 1
            if self.rules > MOST_RULES:
                raise IcalError(f"There are {MOST_RULES} recurring events before it, as many as may be.")
            parts = {str(name).upper(): _list(value) for name, value in rule.items()}
            last = self._until(parts)
            for day in Recurrence.read(parts).days(first, horizon):
                moment = datetime.combine(day, clock, zone).astimezone(UTC)
                if last is not None and moment > last:
                    break
                yield moment

    def _until(self, rule: dict[str, list[Any]]) -> datetime | None:
        if not rule.get("UNTIL"):
            return None
        given = rule["UNTIL"][0]
        if isinstance(given, datetime):
            return self._moment(given)
        return self._moment(given + timedelta(days=1)) - timedelta(microseconds=1)

    def _added(self, event: Event) -> Iterator[datetime]:
        for part in _parts(event, "RDATE"):
            for one in part.dts:
                if isinstance(one.dt, tuple):
                    raise IcalError("Added dates with periods are not understood.")
                yield self._moment(one.dt)

    def _time(self, event: Event) -> tuple[datetime, datetime]:
        if "DTSTART" not in event:
            raise IcalError("It has no beginning.")
        given = _part(event, "DTSTART").dt
        if _day(given) < _EARLIEST:
            raise IcalError("It begins before the year 2000.")
        begins = self._moment(given)
        if "DTEND" in event:
            ends = self._moment(_part(event, "DTEND").dt)
        elif "DURATION" in event:
            ends = begins + _part(event, "DURATION").dt
        else:
            ends = begins if isinstance(given, datetime) else self._moment(given + timedelta(days=1))
        if not begins < ends <= begins + _LONGEST:
            raise IcalError("It must end after it begins, and within a month.")
        return begins, ends

    def _end(self, event: Event, start: datetime, length: timedelta) -> datetime:
        """Give the end of one time by the clock of its place, as for a night in which the clock is changed."""
        given = _part(event, "DTSTART").dt
        if "DURATION" in event:
            return start + length
        zone = self._zone_of(given)
        local = start.astimezone(zone).replace(tzinfo=None) + (_naive(self._last(event)) - _naive(given))
        return local.replace(tzinfo=zone).astimezone(UTC)

    def _last(self, event: Event) -> date:
        if "DTEND" in event:
            end: date = _part(event, "DTEND").dt
            zone = self._zone_of(_part(event, "DTSTART").dt)
            return end.astimezone(zone) if isinstance(end, datetime) and end.tzinfo else end
        given: date = _part(event, "DTSTART").dt
        return given + timedelta(days=1)

    def _person(self, event: Event) -> str:
        named = str(event.get(_PERSON, ""))
        mails = {str(one).lower().removeprefix("mailto:") for one in _parts(event, "ATTENDEE")}
        said = str(event.get("SUMMARY", "")).rpartition(":")[2].strip().casefold()
        tests = (
            lambda one: one.id == named,
            lambda one: one.mail.lower() in mails,
            lambda one: said in {one.id.casefold(), one.name.casefold(), one.mail.casefold()},
        )
        for test in tests:
            found = [one.id for one in self.rota.people if test(one)]
            if len(found) == 1:
                return found[0]
        raise IcalError("It names nobody of the rota: by attendee or summary.")

    def _level(self, event: Event) -> int:
        said = str(event.get(_LEVEL, self.level))
        if not (said.isascii() and said.isdigit() and 1 <= int(said[:3]) <= 10):
            raise IcalError("Its level is none of 1 to 10.")
        return int(said[:3])

    def _moment(self, given: date) -> datetime:
        """Read a time; one without a zone, or a whole day, is meant in the rota's."""
        return datetime.combine(_day(given), _clock(given), self._zone_of(given)).astimezone(UTC)

    def _zone_of(self, given: date) -> tzinfo:
        return given.tzinfo if isinstance(given, datetime) and given.tzinfo else self._zone


def _naive(given: date) -> datetime:
    return datetime.combine(_day(given), _clock(given))


def _day(given: date) -> date:
    return given.date() if isinstance(given, datetime) else given


def _clock(given: date) -> time:
    return given.time() if isinstance(given, datetime) else time(0)


def _parts(event: Event, name: str) -> list[Any]:
    return _list(_part(event, name))


def _part(event: Event, name: str) -> Any:  # noqa: ANN401 - the library's types are as many as properties
    return event.get(name)


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - as the library gives it: nothing, one, or several
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]
