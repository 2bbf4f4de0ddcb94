"""How often ranges held, for our staff: by class, kind or day."""

from typing import Any

import pytest
from sqlalchemy import text

from invoicing.kit.db import transaction

SCORES = text("""
    INSERT INTO calibration VALUES
        ('2026-11-21', 'drill', 'small', 'waiting', 100, 100, 5, 5, 40, 1, '{"0": 100}', '{"40": 100}'),
        ('2026-11-22', 'drill', 'small', 'waiting', 100, 100, 10, 20, 60, 0, '{"20": 100}', '{"40": 100}'),
        ('2026-11-22', 'invoice.issue', 'large', 'running', 10, 0, 0, 0, 0, 0, '{}', '{}')
""")


@pytest.mark.parametrize(
    ("asked", "shares"),
    [
        ({}, {"small waiting": 0.8, "large running": None}),
        ({"by": "day"}, {"2026-11-22": 0.7, "2026-11-21": 0.9}),
        ({"by": "kind", "since": "2026-11-22T00:00:00Z"}, {"drill": 0.7, "invoice.issue": None}),
        ({"kind": "invoice.issue"}, {"large running": None}),
        ({"size": "small", "stage": "waiting"}, {"small waiting": 0.8}),
        ({"stage": "starting"}, {}),
    ],
)
async def test_scores_are_told_with_their_sum(service: Any, asked: dict[str, str], shares: dict[str, Any]) -> None:
    async with transaction(service.engine) as session:
        await session.execute(SCORES)
    answer = await service.support.get("/v1/calibration", params={"until": "2026-11-22T00:00:00Z", **asked})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {one["key"]: one["share_held"] for one in told["items"]} == shares
    assert told["total"]["cases"] == sum(one["cases"] for one in told["items"])
    for one in told["items"]:
        expected = {None: "unknown", 0.9: "fits"}.get(one["share_held"], "too_narrow")
        assert one["verdict"] == expected
    if not asked:
        first = told["items"][0]
        assert (first["share_called_slow"], first["naive_median_error_s"]) == (0.01, pytest.approx(100))
        assert first["median_error_s"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"by": "host"}, "/query/by"),
        ({"size": "vast"}, "/query/size"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-11-22T00:00:00Z"}, "/query/since"),
    ],
)
async def test_what_is_not_kept_cannot_be_asked(service: Any, asked: dict[str, str], field: str) -> None:
    answer = await service.ops.get("/v1/calibration", params=asked)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
