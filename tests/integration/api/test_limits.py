"""What each customer may have: seen and changed by admins alone, on the audit with the old and the new values."""

from typing import Any

import pytest
from sqlalchemy import text

LIMITS = "/v1/admin/limits"


def asked(**limits: Any) -> dict[str, Any]:
    return {"customer": "acme", "reason": "contract of May", **limits}


async def test_limits_are_changed_one_by_one_and_the_rest_stays(service: Any) -> None:
    first = await service.admin.post(LIMITS, json=asked(weight=2.5, max_waiting=10))
    assert first.status_code == 200, first.text
    second = await service.admin.post(LIMITS, json=asked(max_running=3, max_waiting=None))
    expected = {
        "customer": "acme",
        "rate_per_s": 1e6,
        "burst": 1_000_000,
        "weight": 2.5,
        "max_running": 3,
        "max_waiting": None,
    }
    assert second.json() == expected
    listed = (await service.admin.get(LIMITS)).json()["items"]
    assert listed[0] == expected
    assert [(one["customer"], one["weight"], one["max_running"]) for one in listed[1:]] == [("other", 1.0, None)]
    shown = (await service.admin.get("/v1/admin/customers")).json()["items"][0]
    assert (shown["weight"], shown["max_running"], shown["max_waiting"]) == (2.5, 3, None)


async def test_every_change_is_on_the_audit_with_what_was_before(service: Any) -> None:
    await service.admin.post(LIMITS, json=asked(max_waiting=10))
    await service.admin.post(LIMITS, json=asked(max_waiting=20))
    async with service.engine.connect() as session:
        rows = await session.execute(text("SELECT * FROM audit_entries WHERE act = 'customer.limited' ORDER BY id"))
        found = [(row.actor, row.reason, row.data) for row in rows]
    assert found == [
        ("admin:admin", "contract of May", {"max_waiting": {"from": None, "to": 10}}),
        ("admin:admin", "contract of May", {"max_waiting": {"from": 10, "to": 20}}),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (asked(), ""),
        (asked(weight=None), "/weight"),
        (asked(weight=0), "/weight"),
        (asked(weight=1000), "/weight"),
        (asked(rate_per_s=None), "/rate_per_s"),
        (asked(burst=0), "/burst"),
        (asked(max_waiting=0), "/max_waiting"),
        (asked(max_running=1.5), "/max_running"),
        (asked(max_waiting=10**12), "/max_waiting"),
        (asked(colour="red"), "/colour"),
        ({"customer": "acme", "weight": 1}, "/reason"),
        ({"customer": "nobody", "reason": "x", "weight": 1}, "/customer"),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_by_name(service: Any, body: Any, field: str) -> None:
    answer = await service.admin.post(LIMITS, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["remedy"] or answer.json()["errors"][0]["remedy"]


@pytest.mark.parametrize("who", ["acme", "support", "ops"])
async def test_limits_are_for_admins(service: Any, who: str) -> None:
    client = getattr(service, who)
    assert (await client.get(LIMITS)).status_code == 403
    assert (await client.post(LIMITS, json=asked(weight=1))).status_code == 403
