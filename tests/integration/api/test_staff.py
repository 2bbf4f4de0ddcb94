"""Lanes, workers, customers and keys: by role, audited, and closed to everybody else."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.kit.db import transaction
from invoicing.lanes import service as lanes

LATER = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
LANE = "/v1/lanes/normal-small"
NOBODYS = "0199a3c2-0000-7000-8000-000000000000"


async def audited(service: Any) -> list[tuple[str, str]]:
    async with service.engine.connect() as session:
        rows = await session.execute(text("SELECT act, actor FROM audit_entries WHERE act LIKE 'lane.%' ORDER BY id"))
        return [(row.act, row.actor) for row in rows]


async def test_ops_hold_a_lane_and_let_it_go_on_and_both_are_on_the_audit(service: Any) -> None:
    await service.acme.job()
    paused = await service.ops.post(f"{LANE}:pause", json={"until": LATER, "reason": "Leak."})
    assert paused.status_code == 200, paused.text
    assert (paused.json()["paused"]["reason"], paused.json()["paused"]["by"]) == ("Leak.", "ops:ops")
    seen = {lane["name"]: lane for lane in (await service.support.get("/v1/lanes")).json()["items"]}
    assert seen["normal-small"]["waiting"] == 1
    assert seen["normal-small"]["oldest"]
    assert [name for name, lane in seen.items() if lane["paused"]] == ["normal-small"]
    assert (seen["normal-small"]["rate"], seen["normal-small"]["forecast"]) == (0, None)
    assert (await service.ops.post(f"{LANE}:resume")).json()["paused"] is None
    assert (await service.ops.post(f"{LANE}:resume")).status_code == 200
    assert await audited(service) == [("lane.paused", "ops:ops"), ("lane.resumed", "ops:ops")]


async def test_a_lane_says_how_much_waits_how_fast_it_goes_and_when_it_will_be_done(service: Any) -> None:
    for job in [await service.acme.job() for _ in range(3)]:
        await service.hand.finish(job["id"])
    for _ in range(6):
        await service.acme.job({"kind": "drill", "payload": {"seconds": 0.5}})
    async with transaction(service.engine) as session:
        await lanes.register(session, service.hand.worker, "host", 1, "0.1", 2, ["normal-small"], ["drill"])
    told = {lane["name"]: lane for lane in (await service.ops.get("/v1/lanes")).json()["items"]}["normal-small"]
    assert (told["waiting"], told["work_s"], told["slots"]) == (6, 3.0, 3)  # two slots and the spare one
    assert told["rate"] == pytest.approx(3 / 60)
    assert told["forecast"]["in_s"] == 1.0
    assert told["forecast"]["drained_at"] > datetime.now(UTC).isoformat()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "/until"),
        ({"until": LATER}, "/reason"),
        ({"until": LATER, "reason": " "}, "/reason"),
        ({"until": "2020-01-01T00:00:00Z", "reason": "x"}, "/until"),
        ({"until": LATER, "reason": "x\u0000"}, "/reason"),
    ],
)
async def test_a_pause_needs_a_time_to_come_and_a_reason(service: Any, body: Any, field: str) -> None:
    answer = await service.ops.post(f"{LANE}:pause", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_workers_are_listed_with_what_they_hold(service: Any) -> None:
    job = await service.acme.job()
    async with transaction(service.engine) as session:
        await lanes.register(session, service.hand.worker, "host", 1, "0.1", 2, ["normal-small"], ["drill"])
    await service.hand.start(job["id"])
    (worker,) = (await service.ops.get("/v1/workers")).json()["items"]
    assert (worker["alive"], worker["running"], worker["slots"]) == (True, [job["id"]], 2)


async def test_an_admin_adds_a_customer_whose_key_then_works(service: Any) -> None:
    made = await service.admin.post("/v1/admin/customers", json={"slug": "new", "name": "New & Söhne", "burst": 5})
    assert made.status_code == 201, made.text
    again = await service.admin.post("/v1/admin/customers", json={"slug": "new", "name": "New"})
    assert (again.status_code, again.json()["field"]) == (409, "/slug")
    slugs = [one["slug"] for one in (await service.admin.get("/v1/admin/customers")).json()["items"]]
    assert slugs == ["acme", "other", "new"]
    key = await service.admin.post("/v1/admin/keys", json={"role": "customer", "label": "shop", "customer": "new"})
    client = type(service.acme)(service.url, key.json()["key"])
    assert (await client.job())["customer"] == "new"
    await client.aclose()


async def test_a_key_over_its_time_no_longer_works(service: Any) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    body = {"role": "customer", "label": "x", "customer": "acme", "expires_at": soon}
    client = type(service.acme)(service.url, (await service.admin.post("/v1/admin/keys", json=body)).json()["key"])
    await asyncio.sleep(1.2)
    assert (await client.get("/v1/jobs")).status_code == 401
    await client.aclose()


@pytest.mark.parametrize(
    "body",
    [
        {"role": "customer", "label": "x"},
        {"role": "customer", "label": "x", "customer": "nobody"},
        {"role": "ops", "label": "x", "customer": "acme"},
        {"role": "king", "label": "x"},
    ],
)
async def test_a_key_for_nobody_is_refused(service: Any, body: Any) -> None:
    assert (await service.admin.post("/v1/admin/keys", json=body)).status_code == 422


ROUTES = [
    ("GET", "/v1/lanes", {"support", "ops", "admin"}),
    ("GET", "/v1/workers", {"support", "ops", "admin"}),
    ("GET", "/v1/calibration", {"support", "ops", "admin"}),
    ("GET", "/v1/waits", {"support", "ops", "admin"}),
    ("POST", f"{LANE}:pause", {"ops", "admin"}),
    ("POST", f"{LANE}:resume", {"ops", "admin"}),
    ("GET", "/metrics", {"ops", "admin"}),
    ("GET", "/v1/scheduling", {"ops", "admin"}),
    ("PATCH", "/v1/scheduling", {"ops", "admin"}),
    ("DELETE", "/v1/scheduling/spare", {"ops", "admin"}),
    *[
        ("POST", f"/v1/support/jobs/{NOBODYS}:{verb}", {"support", "ops", "admin"})
        for verb in ("expedite", "move", "retry", "cancel")
    ],
    ("GET", "/v1/admin/customers", {"admin"}),
    ("POST", "/v1/admin/customers", {"admin"}),
    ("POST", "/v1/admin/keys", {"admin"}),
    ("GET", "/v1/admin/customers/acme", {"ops", "admin"}),
    ("POST", "/v1/admin/customers/acme:pause", {"ops", "admin"}),
    ("POST", "/v1/admin/customers/acme:resume", {"ops", "admin"}),
    ("GET", "/v1/jobs", {"acme"}),
    ("POST", "/v1/jobs", {"acme"}),
    ("POST", "/v1/kinds/drill:estimate", {"acme"}),
    ("POST", "/v1/jobs:batch", {"acme"}),
    ("GET", "/v1/jobs/0199a3c2-0000-7000-8000-000000000000", {"acme"}),
    ("GET", f"/v1/jobs/{NOBODYS}/why", {"acme", "support", "ops", "admin"}),
    ("GET", "/v1/kinds", {"acme"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), ROUTES)
async def test_a_route_is_open_to_its_roles_alone(service: Any, method: str, path: str, allowed: set[str]) -> None:
    for name in ("acme", "support", "ops", "admin"):
        answer = await getattr(service, name).request(method, path)
        assert (answer.status_code == 403) == (name not in allowed), (name, answer.text)
        if answer.status_code == 403:
            assert answer.json()["remedy"].startswith("Use a key with the role")
