"""When somebody works, and when so much time of that will have passed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

FARTHEST_DAYS = 3_660
"""Ten years: a calendar that is not open for so long is not open at all."""

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Calendar:
    """Opening hours in a place: from `opens` to `closes` of its own clock, on its weekdays but its public holidays."""

    zone: str
    """An IANA time zone, such as Europe/Berlin."""
    opens: time
    closes: time
    """Later than `opens`; midnight at the end of the day is 00:00."""
    weekdays: frozenset[int] = frozenset(range(5))
    """0 is Monday."""
    country: str | None = None
    """ISO 3166-1; None: no holidays."""
    subdivision: str | None = None
    """ISO 3166-2 without the country, for holidays of a region."""

    def as_json(self) -> dict[str, Any]:
        """Give it as it is stored and shown."""
        hours = {"opens": f"{self.opens:%H:%M}", "closes": f"{self.closes:%H:%M}", "weekdays": sorted(self.weekdays)}
        return {"zone": self.zone, **hours, "country": self.country, "subdivision": self.subdivision}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Calendar":
        """Read what `as_json` gave."""
        hours = {name: time.fromisoformat(stored[name]) for name in ("opens", "closes")}
        return cls(**{**stored, **hours, "weekdays": frozenset(stored["weekdays"])})


@dataclass(frozen=True)
class OpenTime:
    """So much time while a calendar is open."""

    span: timedelta
    calendar: Calendar


Promise = timedelta | OpenTime
"""Within which time a job is to end: by the clock, or counted only while a calendar is open."""


def span_of(promise: Promise) -> timedelta:
    """Give the time of a promise, whatever it is counted by."""
    return promise if isinstance(promise, timedelta) else promise.span


def calendar_of(promise: Promise) -> Calendar | None:
    """Give the calendar that a promise is counted by; None: it is counted by the clock."""
    return None if isinstance(promise, timedelta) else promise.calendar


def due_of(accepted_at: datetime, span: timedelta, calendar: Calendar | None) -> datetime:
    """Say when so much time will have passed since a moment, counted only while the calendar is open, if there is one.

    The due moment is never inside closed time; time that runs out just as the calendar closes is due then. An hour that
    a change of the clock leaves out is not worked, one that it repeats is worked twice.

    Raises `ValueError` where the calendar is not open long enough within ten years.
    """
    if calendar is None:
        return accepted_at + span
    left, day = span, accepted_at.astimezone(_zone(calendar)).date() - _DAY  # midnight of one zone is not another's
    for _ in range(FARTHEST_DAYS):
        hours = open_hours(calendar, day)
        if hours is not None and hours[1] >= accepted_at:
            begins = max(hours[0], accepted_at)
            if left <= hours[1] - begins:
                return begins + left
            left -= hours[1] - begins
        day += _DAY
    raise ValueError("the calendar is not open long enough")


def next_open(moment: datetime, calendar: Calendar | None) -> datetime:
    """Give the moment itself where the calendar is open then, else when it opens next; closing time is open still."""
    return due_of(moment, timedelta(0), calendar)


def open_hours(calendar: Calendar, day: date) -> tuple[datetime, datetime] | None:
    """Give when a calendar opens and closes on a day of its own, in UTC; None where it does not open."""
    if day.weekday() not in calendar.weekdays or is_holiday(calendar, day):
        return None
    begins = moment_of(calendar, day, calendar.opens)
    ends = moment_of(calendar, day if calendar.closes != time(0) else day + _DAY, calendar.closes)
    return (begins, ends) if begins < ends else None  # a change of the clock may leave all of a short day out


def is_holiday(calendar: Calendar, day: date) -> bool:
    """Tell whether a day is a public holiday in the place of a calendar."""
    return day in _holidays(calendar.country, calendar.subdivision, day.year)


def moment_of(calendar: Calendar, day: date, at: time) -> datetime:
    """Give, in UTC, when a calendar's clock shows a time on a day.

    Of a time that comes twice, the first; of one that a change of the clock leaves out, as if it had not changed yet.
    """
    return datetime.combine(day, at, _zone(calendar)).astimezone(UTC)


def faults_of(calendar: Calendar) -> str | None:
    """Say what is wrong with a calendar, in a sentence; None: nothing."""
    try:
        _zone(calendar)
        _holidays(calendar.country, calendar.subdivision, 2026)
    except (KeyError, ValueError, OSError):
        return f"There is no time zone {calendar.zone!r}."
    except NotImplementedError:
        place = "-".join(filter(None, (calendar.country, calendar.subdivision)))
        return f"Public holidays of {place!r} are not known."
    if calendar.closes != time(0) and calendar.closes <= calendar.opens:
        return "It closes before it opens."
    if not calendar.weekdays or not calendar.weekdays <= set(range(7)):
        return "Its weekdays are some of 0 (Monday) to 6."
    if calendar.subdivision is not None and calendar.country is None:
        return "A subdivision is one of a country."
    return None


def _zone(calendar: Calendar) -> ZoneInfo:
    return ZoneInfo(calendar.zone)


@lru_cache(maxsize=1_000)
def _holidays(country: str | None, subdivision: str | None, year: int) -> frozenset[date]:
    if country is None:
        return frozenset()
    import holidays  # noqa: PLC0415 - takes a tenth of a second, and most processes never ask

    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
