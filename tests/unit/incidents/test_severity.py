"""How bad an incident is follows from its cause and whom it touches."""

import pytest

from invoicing.incidents.model.causes import EVERYWHERE, Cause
from invoicing.incidents.model.incident import Blast, Severity
from invoicing.incidents.model.severity import BASE, severity


@pytest.mark.parametrize(
    ("cause", "scope", "blast", "expected"),
    [
        (Cause.NO_WORKER, "lane:normal-small", Blast(9_999, 500), Severity.S2),
        (Cause.NO_WORKER, EVERYWHERE, Blast(1, 1), Severity.S1),
        (Cause.UNDELIVERED, EVERYWHERE, Blast(1, 1), Severity.S1),
        (Cause.WATCHDOG_BLIND, EVERYWHERE, Blast(), Severity.S2),
        (Cause.WORKER_LOST, "host:a", Blast(5, 2), Severity.S4),
        (Cause.WORKER_LOST, "host:a", Blast(5, 2, promises_at_risk=1), Severity.S3),
        (Cause.WORKER_LOST, "host:a", Blast(5, 2, promises_missed=1), Severity.S2),
        (Cause.POISON, "kind:k", Blast(5, 10, promises_missed=1), Severity.S1),
        (Cause.NO_PROGRESS, "kind:k", Blast(20, 1, promises_missed=10), Severity.S1),
    ],
)
def test_by_cause_and_by_whom_it_touches(cause: Cause, scope: str, blast: Blast, expected: Severity) -> None:
    assert severity(cause, scope, blast) == expected


def test_every_cause_has_one() -> None:
    assert set(BASE) == set(Cause)
