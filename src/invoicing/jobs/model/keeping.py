"""How long finished jobs are kept: days from their end on, or whole years from the end of its calendar year on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_SPOKEN = re.compile(r"(\d{1,5})([dy])", re.ASCII)
_LONGEST_YEARS = 1000
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)
"""How much earlier than in UTC a year begins, and how much later it ends, somewhere on earth."""


class KeepError(ValueError):
    """A period cannot be used: which one, the rule and an example."""


class Unit(StrEnum):
    """What a period is counted in."""

    DAYS = "d"
    YEARS = "y"


@dataclass(frozen=True)
class Period:
    """A time for which something is kept; years begin when the calendar year of its end is over, as tax law has it."""

    length: int
    unit: Unit

    @classmethod
    def read(cls, text: str) -> "Period":
        """Read `90d` or `10y`."""
        found = _SPOKEN.fullmatch(text.strip())
        if found is None or not int(found[1]) or (found[2] == "y" and int(found[1]) > _LONGEST_YEARS):
            raise KeepError(f"{text!r} is no period: write days or calendar years, for example 90d or 10y")
        return cls(int(found[1]), Unit(found[2]))

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.length}{self.unit}"

    def over_before(self, now: datetime) -> datetime:
        """Tell before which moment something must have ended not to be kept any more.

        A year is over when it is over everywhere, and what may belong to the next one somewhere belongs to that.
        """
        if self.unit is Unit.DAYS:
            return now - timedelta(days=self.length)
        over = (now.astimezone(UTC) - _WEST).year - self.length - 1
        return datetime(over + 1, 1, 1, tzinfo=UTC) - _EAST

    def covers(self, other: "Period") -> bool:
        """Tell whether this is at least as long as another, whenever both begin."""
        if self.unit is other.unit:
            return self.length >= other.length
        if self.unit is Unit.YEARS:
            return 365 * self.length >= other.length
        return self.length >= 366 * (other.length + 1) + 2


@dataclass(frozen=True)
class Keep:
    """How long finished jobs of a kind are kept: those that succeeded, and those that are dead or were cancelled."""

    succeeded: Period
    unsuccessful: Period

    @classmethod
    def of(cls, succeeded: str, unsuccessful: str = "90d") -> "Keep":
        """Write one down: `Keep.of("10y")`."""
        return cls(Period.read(succeeded), Period.read(unsuccessful))


KEYS_KEPT = Period.read("30d")
"""How long an idempotency key is remembered: the contract with customers."""

MESSAGES_KEPT = Period.read("90d")
"""How long a message that was delivered, or given up, is kept with its attempts and can be sent again."""

USUAL = Keep.of("90d")

SHORTEST = Keep(KEYS_KEPT, KEYS_KEPT)
"""No finished job goes before its idempotency key: the same request would be carried out a second time."""


Change = tuple[Period, Period | None]
"""What a setting says about a kind: for its jobs that succeeded, and perhaps for the others."""


def changes(text: str) -> Mapping[str, Change]:
    """Read what a setting changes: `invoice.issue=12y,drill=60d/30d`, after the stroke for those without success."""
    found: dict[str, Change] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, periods = (part.strip() for part in item.partition("="))
        if not kind or not periods:
            raise KeepError(f"{item!r}: write KIND=PERIOD or KIND=PERIOD/PERIOD, for example invoice.issue=12y")
        if kind in found:
            raise KeepError(f"{kind} is named twice: name every kind once")
        succeeded, stroke, unsuccessful = periods.partition("/")
        found[kind] = Period.read(succeeded), Period.read(unsuccessful) if stroke else None
    return found


def agreed(kind: str, keep: Keep, at_least: Keep, change: Change | None = None) -> Keep:
    """Settle how long a kind's jobs are kept: as it says, or as a setting changes it; too short a time is refused."""
    wanted = keep if change is None else Keep(change[0], change[1] or keep.unsuccessful)
    for least in (at_least, SHORTEST):
        _insist(kind, "that succeeded", wanted.succeeded, least.succeeded)
        _insist(kind, "that did not succeed", wanted.unsuccessful, least.unsuccessful)
    return wanted


def _insist(kind: str, which: str, period: Period, least: Period) -> None:
    if not period.covers(least):
        raise KeepError(f"{kind}: {period} is too short; its jobs {which} must be kept for {least} at least")
