"""Accounts added up: milliseconds by day (UTC), lane, customer and cause."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

from invoicing.diagnosis.model.account import Part
from invoicing.diagnosis.model.life import length_ms, to_ms

UNKNOWN_LANE = "unknown"

Spent = tuple[UUID, Iterable[Part], datetime | None]
"""Whose job it was, its account, and up to where that was added up before."""


class Sum(NamedTuple):
    """What milliseconds are added up by."""

    day: date
    lane: str
    customer_id: UUID
    cause: str


def added_up(spent: Iterable[Spent]) -> Mapping[Sum, int]:
    """Add up accounts; what lies over midnight belongs to both days."""
    found: dict[Sum, int] = {}
    for customer_id, parts, booked_until in spent:
        for part in parts:
            since = part.since if booked_until is None else max(part.since, to_ms(booked_until))
            for day, milliseconds in _days(since, part.until):
                key = Sum(day, part.lane or UNKNOWN_LANE, customer_id, part.cause)
                found[key] = found.get(key, 0) + milliseconds
    return found


def _days(since: datetime, until: datetime) -> Iterator[tuple[date, int]]:
    at = since.astimezone(UTC)
    while at < until:
        midnight = datetime.combine(at.date() + timedelta(days=1), time(), UTC)
        yield at.date(), length_ms(at, min(midnight, until))
        at = midnight
