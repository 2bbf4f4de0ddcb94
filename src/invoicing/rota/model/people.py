"""A rota: people, the weekly hours in which each is on duty, who stands in for whom, and who is told after how long."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from uuid import UUID

from invoicing.alerts.model import Severity, wanted
from invoicing.jobs.model.calendars import Calendar

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Person:
    """One of our staff who can be called."""

    id: str
    name: str
    mail: str
    pagerduty: str | None = None
    """Their user there: named in its events, which calls nobody by itself."""


class Holidays(StrEnum):
    """What a shift makes of the public holidays of its country."""

    OFF = "off"
    TOO = "too"
    ONLY = "only"


@dataclass(frozen=True)
class Shift:
    """Hours of the week in which somebody is on duty, by the clock of a place; several people take turns by weeks."""

    people: tuple[str, ...]
    zone: str
    begins: time
    ends: time
    """At or before `begins`: on the next day."""
    weekdays: frozenset[int]
    """On which it begins; 0 is Monday."""
    level: int = 1
    country: str | None = None
    subdivision: str | None = None
    holidays: Holidays = Holidays.OFF
    since: date | None = None
    """The first day; turns are counted from the Monday of its week on."""
    until: date | None = None
    """The last day on which it begins."""
    weeks: int = 1
    """How many weeks a turn lasts."""

    @cached_property
    def calendar(self) -> Calendar:
        """Give its place, with whole days."""
        return Calendar(self.zone, time(0), time(0), self.weekdays, self.country, self.subdivision)

    def on_turn(self, day: date) -> str:
        """Name who has the shift that begins on a day."""
        if self.since is None or len(self.people) == 1:
            return self.people[0]
        monday = self.since - timedelta(days=self.since.weekday())
        return self.people[(day - monday) // (self.weeks * _WEEK) % len(self.people)]

    def as_json(self) -> dict[str, Any]:
        """Give it as it is stored and shown."""
        return {
            "people": list(self.people),
            "zone": self.zone,
            "begins": f"{self.begins:%H:%M}",
            "ends": f"{self.ends:%H:%M}",
            "weekdays": sorted(self.weekdays),
            "level": self.level,
            "country": self.country,
            "subdivision": self.subdivision,
            "holidays": self.holidays,
            "since": self.since and self.since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "weeks": self.weeks,
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Shift":
        """Read what `as_json` gave."""
        hours = {name: time.fromisoformat(stored[name]) for name in ("begins", "ends")}
        days = {name: date.fromisoformat(stored[name]) if stored[name] else None for name in ("since", "until")}
        people, weekdays = tuple(stored["people"]), frozenset(stored["weekdays"])
        holidays = Holidays(stored["holidays"])
        return cls(**{**stored, **hours, **days, "people": people, "weekdays": weekdays, "holidays": holidays})


@dataclass(frozen=True)
class Step:
    """After how long without an acknowledgement those of a level are told."""

    after: timedelta
    level: int
    least: Severity = Severity.S2
    """Of an incident: less bad ones pass the step over."""


@dataclass(frozen=True)
class Override:
    """A time in which somebody is on duty for another, or (`replaces` None) beside whoever is on duty anyway."""

    id: UUID
    begins: datetime
    ends: datetime
    person: str
    replaces: str | None = None
    level: int = 1
    """Where it replaces nobody."""
    uid: str | None = None
    """The event of a calendar that it came from."""


@dataclass(frozen=True)
class Rota:
    """Who is on call when, and who is told after how long."""

    people: tuple[Person, ...]
    shifts: tuple[Shift, ...]
    steps: tuple[Step, ...] = (Step(timedelta(0), 1),)
    claims: str | None = None
    """`24/7` where we say so to others: then no hour may be uncovered."""
    overrides: tuple[Override, ...] = ()
    """In the order in which they were made: each sees what those before it did."""

    def person(self, name: str) -> Person:
        """Find somebody by id."""
        return next(one for one in self.people if one.id == name)

    def taken_by(self, severity: Severity) -> "Rota":
        """Give it with those steps alone that something so bad takes."""
        return replace(self, steps=tuple(step for step in self.steps if wanted(severity, step.least)))

    def as_json(self) -> dict[str, Any]:
        """Give it as it is stored and shown, without overrides."""
        people = [{"id": p.id, "name": p.name, "mail": p.mail, "pagerduty": p.pagerduty} for p in self.people]
        steps = [
            {"after_minutes": step.after / timedelta(minutes=1), "level": step.level, "least_severity": step.least}
            for step in self.steps
        ]
        shifts = [shift.as_json() for shift in self.shifts]
        return {"people": people, "shifts": shifts, "steps": steps, "claims": self.claims}

    @classmethod
    def of_json(cls, stored: Mapping[str, Any], overrides: tuple[Override, ...] = ()) -> "Rota":
        """Read what `as_json` gave."""
        return cls(
            tuple(Person(**one) for one in stored["people"]),
            tuple(Shift.of_json(one) for one in stored["shifts"]),
            tuple(
                Step(
                    timedelta(minutes=one["after_minutes"]),
                    one["level"],
                    Severity(one.get("least_severity", Severity.S2)),  # a version of an earlier build has none
                )
                for one in stored["steps"]
            ),
            stored["claims"],
            overrides,
        )


NOBODY = Rota((), ())
"""What holds until somebody has written a rota."""
