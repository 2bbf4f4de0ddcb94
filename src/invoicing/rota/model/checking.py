"""What is wrong with a rota, and whether it may claim that somebody is always there."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from invoicing.jobs.model.calendars import faults_of as faults_of_calendar
from invoicing.kit.problems import Finding
from invoicing.rota.model.duty import Gap, gaps
from invoicing.rota.model.people import Rota, Shift

CLAIM = "24/7"

CLAIM_HOLDS_FOR = timedelta(days=366)
"""Every change of the clock and every public holiday comes within it."""


def first_gap_of_claim(rota: Rota, now: datetime) -> Gap | None:
    """Give the first time that nobody covers although the rota claims `24/7`; None: it may claim what it claims."""
    if rota.claims != CLAIM:
        return None
    return next(iter(gaps(rota, now, now + CLAIM_HOLDS_FOR)), None)


def faults_of(rota: Rota) -> tuple[Finding, ...]:
    """Find everything that makes no sense in a rota; nothing: it can be used."""
    return (*_of_people(rota), *_of_shifts(rota), *_of_steps(rota))


def _of_people(rota: Rota) -> Iterator[Finding]:
    names = [one.id for one in rota.people]
    for place, name in enumerate(names):
        if name in names[:place]:
            yield _wrong(f"/people/{place}/id", f"There are two people {name!r}.", "Give each an id of their own.")
    for override in rota.overrides:
        for gone in {override.person, override.replaces} - {None, *names}:
            message = f"{gone!r} is in an override from {override.begins:%Y-%m-%d %H:%M} UTC on, and not among these."
            yield _wrong("/people", message, "Keep them, or remove the override first.")


def _of_shifts(rota: Rota) -> Iterator[Finding]:
    names = {one.id for one in rota.people}
    for place, shift in enumerate(rota.shifts):
        field = f"/shifts/{place}"
        for name in dict.fromkeys(shift.people):
            if name not in names:
                yield _wrong(f"{field}/people", f"There is nobody called {name!r}.", "Add them to people first.")
        fault = _of_shift(shift)
        if fault is not None:
            yield _wrong(field, *fault)


def _of_shift(shift: Shift) -> tuple[str, str] | None:
    fault = faults_of_calendar(shift.calendar)
    if fault is not None:
        return fault, "Correct its zone, country or subdivision."
    if len(shift.people) > 1 and shift.since is None:
        return "Several people take turns from a day on.", "Give since, the first day of the first one's turn."
    if shift.since is not None and shift.until is not None and shift.until < shift.since:
        return "It is over before it begins.", "Give an until that is not before since."
    if shift.holidays == "only" and shift.country is None:
        return "A shift on public holidays alone needs a country.", "Give country."
    return None


def _of_steps(rota: Rota) -> Iterator[Finding]:
    afters, levels = [step.after for step in rota.steps], [step.level for step in rota.steps]
    if not rota.steps or afters[0] != timedelta(0):
        yield _wrong("/steps", "Somebody has to be told at once.", "Let the first step come after 0 minutes.")
    if afters != sorted(set(afters)) or len(set(levels)) < len(levels):
        remedy = "Order them by after_minutes, each later than the one before and of another level."
        yield _wrong("/steps", "Steps follow one another.", remedy)
    for place, level in enumerate(levels):
        if rota.shifts and level not in {shift.level for shift in rota.shifts}:
            message = f"No shift is of level {level}: this step would tell nobody of its own."
            yield _wrong(f"/steps/{place}", message, "Add a shift of that level, or leave the step out.")


def _wrong(field: str, message: str, remedy: str) -> Finding:
    return Finding("bad_input", field, message, remedy)
