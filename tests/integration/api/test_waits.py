"""Who or what cost each minute: for our staff, on whole days, from sums."""

from typing import Any

import pytest
from sqlalchemy import text

from invoicing.kit.db import transaction

SUMS = text("""
    INSERT INTO waits (day, lane, customer_id, cause, ms)
    SELECT d.day, d.lane, customers.id, d.cause, d.ms FROM (VALUES
        (DATE '2026-11-21', 'normal-small', 'acme', 'lane_saturated', 5000),
        (DATE '2026-11-22', 'normal-small', 'acme', 'lane_saturated', 1000),
        (DATE '2026-11-22', 'normal-small', 'acme', 'running_normally', 60000),
        (DATE '2026-11-22', 'bulk-small', 'other', 'paused', 9500)
    ) AS d(day, lane, slug, cause, ms) JOIN customers USING (slug)
""")


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, {"bulk-small": 9.5, "normal-small": 6.0}),
        ({"by": "customer"}, {"other": 9.5, "acme": 6.0}),
        ({"by": "cause"}, {"paused": 9.5, "lane_saturated": 6.0, "running_normally": 0.0}),
        ({"by": "day"}, {"2026-11-22": 10.5, "2026-11-21": 5.0}),
        ({"since": "2026-11-22T00:00:00Z", "lane": "normal-small"}, {"normal-small": 1.0}),
        ({"customer": "other"}, {"bulk-small": 9.5}),
    ],
)
async def test_the_longest_waits_come_first(service: Any, asked: dict[str, str], keys: dict[str, float]) -> None:
    async with transaction(service.engine) as session:
        await session.execute(SUMS)
    answer = await service.ops.get("/v1/waits", params={"until": "2026-11-22T00:00:00Z", **asked})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [(one["key"], one["waited_s"]) for one in told["items"]] == list(keys.items())
    assert all(one["seconds"] == pytest.approx(sum(one["totals"].values())) for one in told["items"])
    assert told["until"] == "2026-11-22"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"by": "host"}, "/query/by"),
        ({"since": "2026-11-23T00:00:00Z", "until": "2026-11-22T00:00:00Z"}, "/query/since"),
        ({"since": "2026-10-01T00:00:00Z", "until": "2026-11-22T00:00:00Z"}, "/query/since"),
    ],
)
async def test_what_cannot_be_added_up_is_refused(service: Any, asked: dict[str, str], field: str) -> None:
    answer = await service.support.get("/v1/waits", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
