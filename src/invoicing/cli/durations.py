"""Durations as people type them: 90s, 15m, 2h, 3d."""

import re
from datetime import UTC, datetime, timedelta

from invoicing.cli.faults import USAGE, Fault

_SPOKEN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def duration(text: str) -> timedelta | None:
    """Read a duration; None when it is none."""
    found = _SPOKEN.fullmatch(text.strip().lower())
    return None if found is None else timedelta(**{_UNITS[found[2]]: int(found[1])})


def a_duration(option: str, text: str) -> timedelta:
    """Read a duration that must be one."""
    found = duration(text)
    if found is None or not found:
        raise Fault(f"{option} {text!r} is no duration.", "Write it like 90s, 15m, 2h, 3d or 4w.", USAGE)
    return found


def an_end(until: str | None, span: str | None) -> datetime:
    """Read when a pause ends, from `--until` or `--for`; it must be one of them."""
    if until is not None and span is None:
        return a_time("--until", until)
    if span is not None and until is None:
        return datetime.now(UTC) + a_duration("--for", span)
    raise Fault("A pause needs its end.", "Give either --until TIME or --for DURATION.", USAGE)


def a_time(option: str, text: str) -> datetime:
    """Read a time that must be one; without an offset it is this machine's."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Fault(f"{option} {text!r} is no time.", "Write it like 2026-11-22T18:00:00Z.", USAGE) from None
    return found.astimezone(UTC)
