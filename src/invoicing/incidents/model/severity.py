"""How bad an incident is: a rule over its cause and whom it touches, so that nobody has to guess at night.

S1: many customers are, or will be, let down, and nothing goes on by itself. S2: jobs stand still, or promises are
broken. S3: something is wrong that a person should look at today. S4: it heals by itself, or is the customer's own.
"""

from collections.abc import Mapping
from types import MappingProxyType

from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Blast, Severity

MANY = 10
"""Promises missed, or customers of whom one's was: from there on it is the worst there is."""

BASE: Mapping[Cause, Severity] = MappingProxyType(
    {
        Cause.NO_WORKER: Severity.S2,
        Cause.NO_CAPABLE_WORKER: Severity.S2,
        Cause.LOOP_BLOCKED: Severity.S2,
        Cause.UNDELIVERED: Severity.S2,
        Cause.WORKER_LOST: Severity.S4,
        Cause.NO_PROGRESS: Severity.S3,
        Cause.POISON: Severity.S3,
        Cause.DEPENDENCY_DOWN: Severity.S2,
        Cause.UNDELIVERED_RESULT: Severity.S4,
        Cause.PROMISES_MISSED: Severity.S3,
        Cause.UNEXPLAINED: Severity.S2,
        Cause.WATCHDOG_BLIND: Severity.S2,
        Cause.NOBODY_ON_DUTY: Severity.S1,
    }
)
"""How bad a cause is while it breaks no promise."""

_STANDSTILL = frozenset({Cause.NO_WORKER, Cause.UNDELIVERED})
"""Causes that, where they hold everything, let nothing start."""


def severity(cause: Cause, scope: str, blast: Blast) -> Severity:
    """Say how bad it is: by the cause, and worse by the promises that it breaks."""
    if scope == EVERYWHERE and cause in _STANDSTILL:
        return Severity.S1
    missed = blast.promises_missed
    if missed >= MANY or (missed and blast.customers >= MANY):
        return Severity.S1
    if missed:
        return worst(BASE[cause], Severity.S2)
    if blast.promises_at_risk:
        return worst(BASE[cause], Severity.S3)
    return BASE[cause]


def worst(*severities: Severity) -> Severity:
    """Give the worst of some."""
    return Severity(min(severities))
