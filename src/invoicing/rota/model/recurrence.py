"""On which days an event of a calendar comes again (RFC 5545 section 3.3.10), in time that no rule can make long.

What a rule of a shift needs is understood: every so many days, weeks, months or years, on some weekdays, days of the
month or months, until a day or so many times. Anything else is refused rather than guessed.
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

_DAY = timedelta(days=1)
_WEEKDAYS = {name: place for place, name in enumerate(("MO", "TU", "WE", "TH", "FR", "SA", "SU"))}
_KNOWN = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "WKST"})
_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})


class RecurrenceError(ValueError):
    """A rule says something that is not understood."""


@dataclass(frozen=True)
class Recurrence:
    """A rule, with its weekdays as pairs: which (0: each, -1: the last), and the weekday."""

    frequency: str
    interval: int = 1
    count: int | None = None
    weekdays: frozenset[tuple[int, int]] = frozenset()
    month_days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    week_begins: int = 0

    @classmethod
    def read(cls, rule: Mapping[str, Sequence[object]]) -> "Recurrence":
        """Read a rule by its parts; `UNTIL` is left to whoever knows the zone."""
        strange = sorted(rule.keys() - _KNOWN)
        if strange:
            raise RecurrenceError(f"The rule has {', '.join(strange)}, which is not understood.")
        frequency = str(next(iter(rule.get("FREQ", ())), "")).upper()
        if frequency not in _FREQUENCIES:
            raise RecurrenceError("The rule must be DAILY, WEEKLY, MONTHLY or YEARLY.")
        weekdays = frozenset(_weekday(str(day)) for day in rule.get("BYDAY", ()))
        found = cls(
            frequency,
            max(1, _whole(next(iter(rule.get("INTERVAL", (1,)))))),
            _whole(rule["COUNT"][0]) if rule.get("COUNT") else None,
            weekdays,
            frozenset(_whole(day) for day in rule.get("BYMONTHDAY", ())),
            frozenset(_whole(month) for month in rule.get("BYMONTH", ())),
            _WEEKDAYS.get(str(next(iter(rule.get("WKST", ("MO",))))).upper(), 0),
        )
        if any(which for which, _ in weekdays) and (
            frequency in {"DAILY", "WEEKLY"} or (frequency == "YEARLY" and not found.months)
        ):
            raise RecurrenceError("A counted weekday is one of a month.")
        if frequency == "WEEKLY" and found.month_days:
            raise RecurrenceError("A weekly rule has no days of the month.")
        return found

    def days(self, first: date, last: date) -> Iterator[date]:
        """Give the days from the first one of the event on."""
        left, day = self.count, first
        while day <= last and left != 0:
            if self._falls_on(day, first):
                left = None if left is None else left - 1
                yield day
            day += _DAY

    def _falls_on(self, day: date, first: date) -> bool:
        if self._periods(day, first) % self.interval or (self.months and day.month not in self.months):
            return False
        if self.month_days and not {day.day, day.day - _length(day) - 1} & self.month_days:
            return False
        if self.weekdays:
            return bool({(0, day.weekday()), *_places(day)} & self.weekdays)
        return bool(self.month_days) or self._as_the_first(day, first)

    def _periods(self, day: date, first: date) -> int:
        match self.frequency:
            case "DAILY":
                return (day - first).days
            case "WEEKLY":
                return (self._week(day) - self._week(first)).days // 7
            case "MONTHLY":
                return 12 * (day.year - first.year) + day.month - first.month
        return day.year - first.year

    def _week(self, day: date) -> date:
        return day - (day.weekday() - self.week_begins) % 7 * _DAY

    def _as_the_first(self, day: date, first: date) -> bool:
        match self.frequency:
            case "DAILY":
                return True
            case "WEEKLY":
                return day.weekday() == first.weekday()
            case "MONTHLY":
                return day.day == first.day
        return day.day == first.day and (bool(self.months) or day.month == first.month)


def _length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _places(day: date) -> tuple[tuple[int, int], tuple[int, int]]:
    """Name a day as in `the second Tuesday` and `the last but one`."""
    return ((day.day - 1) // 7 + 1, day.weekday()), (-((_length(day) - day.day) // 7 + 1), day.weekday())


def _weekday(text: str) -> tuple[int, int]:
    which, name = text[:-2], text[-2:].upper()
    if name not in _WEEKDAYS:
        raise RecurrenceError(f"{text!r} is no weekday.")
    return (_whole(which) if which else 0), _WEEKDAYS[name]


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise RecurrenceError(f"{value!r} is no whole number.") from None
