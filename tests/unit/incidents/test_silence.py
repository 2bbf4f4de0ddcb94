"""Maintenance keeps ops from being told of what concerns its lanes alone, and of nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.course import opened
from invoicing.incidents.model.incident import Finding
from invoicing.incidents.model.silence import silencing
from invoicing.lanes.model import BY_NAME
from invoicing.maintenance.model import Window

AT = datetime(2026, 11, 30, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BULK = Window(
    UUID(int=1), AT - HOUR, AT + HOUR, ("bulk-huge", "bulk-large"), "New discs.", "host-17", drain=True,
    shift_promises=True, by="ops:ops", created_at=AT - HOUR,
)  # fmt: skip
ALL = replace(BULK, id=UUID(int=2), lanes=tuple(BY_NAME))


def silent(windows: list[Window], cause: str, scope: str, **evidence: Any) -> bool:
    incident = opened(UUID(int=3), Finding(Cause(cause), scope, AT, evidence), AT).incident
    return silencing(incident, windows, AT) is not None


@pytest.mark.parametrize(
    ("cause", "scope", "evidence", "by_bulk"),
    [
        ("no_worker", "lane:bulk-huge", {}, True),
        ("no_worker", "lane:normal-small", {}, False),
        ("no_worker", "*", {"lanes": ["bulk-huge"]}, False),
        ("worker_lost", "host:a", {"lanes": ["bulk-huge", "bulk-large"]}, True),
        ("worker_lost", "host:a", {"lanes": ["bulk-huge", "normal-small"]}, False),
        ("worker_lost", "host:bulk-huge", {}, False),
        ("no_capable_worker", "kind:drill", {"kind": "drill", "lanes": ["bulk-huge"]}, True),
        ("dependency_down", "kind:drill/error:timeout", {"kind": "drill"}, False),
        ("no_worker", "lane:bulk-huge", {"findings": [{"scope": "lane:normal-small"}]}, False),
        ("watchdog_blind", "*", {}, False),
    ],
)
def test_a_window_covers_what_is_about_its_lanes_alone(
    cause: str, scope: str, evidence: dict[str, Any], *, by_bulk: bool
) -> None:
    assert silent([BULK], cause, scope, **evidence) is by_bulk
    assert silent([BULK, ALL], cause, scope, **evidence)
    for out_of_force in (replace(ALL, begins=AT + HOUR / 2), replace(ALL, ends=AT), replace(ALL, ended_at=AT)):
        assert not silent([out_of_force], cause, scope, **evidence)
