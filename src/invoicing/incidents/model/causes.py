"""Which causes are incidents, what each concerns, and when one may be said to have begun."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

EVERYWHERE = "*"
"""The scope of what concerns every job."""

LONGEST_SCOPE = 300
"""Characters; names of kinds and of their errors come from outside."""


class Cause(StrEnum):
    """The causes that open an incident. Decisions of people, and what is normal, are not among them."""

    NO_WORKER = "no_worker"
    NO_CAPABLE_WORKER = "no_capable_worker"
    LOOP_BLOCKED = "loop_blocked"
    UNDELIVERED = "undelivered"
    WORKER_LOST = "worker_lost"
    NO_PROGRESS = "no_progress"
    POISON = "poison"
    DEPENDENCY_DOWN = "dependency_down"
    UNDELIVERED_RESULT = "undelivered_result"
    PROMISES_MISSED = "promises_missed"
    UNEXPLAINED = "unexplained"
    WATCHDOG_BLIND = "watchdog_blind"
    NOBODY_ON_DUTY = "nobody_on_duty"


OPENS_AFTER: Mapping[Cause, timedelta] = MappingProxyType(
    {
        Cause.NO_WORKER: timedelta(seconds=5),  # a worker that is replaced by another is away for a moment
        Cause.NO_CAPABLE_WORKER: timedelta(seconds=5),
        Cause.UNDELIVERED: timedelta(seconds=10),  # the watchdog puts lost tickets back within five
        Cause.UNEXPLAINED: timedelta(seconds=15),
        Cause.PROMISES_MISSED: timedelta(seconds=30),  # whatever else may be the cause is proven by then
    }
)
"""How long a cause must have held before an incident opens; the others are proven by a time of their own."""

FAILED_JOBS, FAILED_CUSTOMERS = 5, 2
"""So many jobs of so many customers that fail with one error, as many as succeed, are no accident of a single job."""

CERTAIN_JOBS, CERTAIN_CUSTOMERS = 5, 3
"""Promises of so many jobs or customers that are certain to be missed are told before they are."""

FAILED_WITHIN = timedelta(minutes=2)
"""How far back failures are looked at."""

POISON_WITHIN = timedelta(minutes=5)
"""How far back a job that was put under quarantine opens an incident; it then lasts while one is left."""


def lane_scope(name: str) -> str:
    """Name the scope of a lane."""
    return f"lane:{name}"


def host_scope(host: str) -> str:
    """Name the scope of a host."""
    return f"host:{host}"[:LONGEST_SCOPE]


def customer_scope(customer_id: UUID) -> str:
    """Name the scope of a customer."""
    return f"customer:{customer_id}"


def dependency_scope(name: str) -> str:
    """Name the scope of something outside that jobs need."""
    return f"dependency:{name}"


def kind_scope(kind: str, error: str | None = None) -> str:
    """Name the scope of a kind of job, or of one error of it."""
    return (f"kind:{kind}" if error is None else f"kind:{kind}/error:{error}")[:LONGEST_SCOPE]
