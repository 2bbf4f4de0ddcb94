"""What is estimated of a request is what becomes of it when it is sent; asking leaves no trace."""

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.kit.db import driver, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES

ADDRESS = "/v1/kinds/drill:estimate"


async def worker(service: Any) -> None:
    """Register a worker of two slots that lives for longer than any test."""
    async with transaction(service.engine) as session:
        await lanes.register(session, uuid4(), "host", 1, "0.1", 2, [lane.name for lane in LANES], ["drill"])
        later = "UPDATE workers SET beat_at = now() + interval '1 h', loop_beat_at = now() + interval '1 h'"
        await session.execute(text(later))


async def finished(service: Any, count: int) -> None:
    """Let jobs of a second finish, so that there is something to learn from."""
    for _ in range(count):
        job = await service.acme.job()
        await service.hand.finish(job["id"])


async def estimate(client: Any, seconds: float = 1, **more: Any) -> dict[str, Any]:
    answer = await client.post(ADDRESS, json={"payload": {"seconds": seconds}, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def placed(service: Any, job_id: str) -> dict[str, Any]:
    """Read a waiting job once its place is known, as one that is ready this moment."""
    while True:
        async with transaction(service.engine) as session:
            await session.execute(text("UPDATE jobs SET due_at = now() WHERE id = :id"), {"id": UUID(job_id)})
        shown = (await service.acme.get(f"/v1/jobs/{job_id}")).json()
        if shown["position"] is not None:
            return dict(shown)
        await asyncio.sleep(0.05)


async def rows(service: Any) -> list[int]:
    tables = ("jobs", "timeline", "idempotency_keys", "tallies", "messages")
    async with service.engine.connect() as session:
        return [await session.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables]


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


@pytest.mark.parametrize(("seconds", "priority"), [(0.2, None), (0.2, "urgent"), (40, "bulk")])
async def test_what_was_estimated_is_what_the_job_then_shows(
    service: Any, seconds: float, priority: str | None
) -> None:
    await worker(service)
    await finished(service, 4)
    for client in (service.acme, service.other, service.other):
        for ahead in (0.2, 0.2, 5):
            await client.job({"kind": "drill", "payload": {"seconds": ahead}})
    more = {} if priority is None else {"priority": priority}
    said = await estimate(service.acme, seconds, **more)
    job = await service.acme.job({"kind": "drill", "payload": {"seconds": seconds}, **more})
    shown = await placed(service, job["id"])
    for name in ("kind", "lane", "normal"):
        assert said[name] == shown[name], name
    assert said["position"]["ahead"] == shown["position"]["ahead"]
    assert said["admission"] == {"accepted": True, "code": None, "message": None, "retry_after_s": None}
    assert said["promise"]["status"] == shown["promise"]["status"]
    assert said["cause"]["code"] == shown["cause"]["code"]
    promised = [
        seconds_between(said["observed_at"], said["promise"]["due"]),
        seconds_between(shown["submitted_at"], shown["promise"]["due"]),
    ]
    assert promised[0] == promised[1]
    assert (said["eta"] is None) == (shown["eta"] is None)
    if said["eta"] is not None:
        for name in ("earliest", "likely", "latest"):
            foretold = seconds_between(said["observed_at"], said["eta"][name])
            assert abs(foretold - seconds_between(shown["cause"]["observed_at"], shown["eta"][name])) < 5
    async with service.engine.connect() as session:
        kept = await session.execute(
            text("SELECT predicted_s, estimated_s FROM jobs WHERE id = :id"), {"id": UUID(job["id"])}
        )
    assert (said["predicted_s"], said["estimated_s"]) == pytest.approx(tuple(kept.one()), rel=0.01)


async def test_an_estimate_stands_in_the_line_that_it_would_join(service: Any) -> None:
    await worker(service)
    for _ in range(3):
        await service.acme.job({"kind": "drill", "payload": {"seconds": 0.2}})
    assert (await estimate(service.acme, 0.2))["position"]["ahead"] == 3
    assert (await estimate(service.acme, 0.2, priority="urgent"))["position"]["ahead"] == 0
    assert (await estimate(service.other, 0.2))["position"]["ahead"] < 3


async def test_asking_leaves_no_trace(service: Any) -> None:
    await worker(service)
    before = await rows(service)
    for _ in range(3):
        await estimate(service.acme)
    assert await rows(service) == before
    assert (await service.acme.get("/v1/jobs")).json()["items"] == []
    assert service.app.state.doorkeeper._underway == {}


async def test_a_refusal_is_foretold_with_the_same_words_and_times(service: Any) -> None:
    await worker(service)
    async with transaction(service.engine) as session:
        acme = await session.scalar(text("SELECT id FROM customers WHERE slug = 'acme'"))
        await (await driver(session)).copy_records_to_table(
            "tallies",
            records=[(acme, "normal", "small", 10, 3_000.0)],
            columns=["customer_id", "priority", "size", "waiting", "work_s"],
        )
    await service.app.state.doorkeeper.refresh()
    foretold = await service.acme.post(ADDRESS, json={"payload": {"seconds": 1}})
    refused = await service.acme.submit()
    problem = refused.json()
    assert foretold.status_code == 200
    assert foretold.json()["admission"] == {
        "accepted": False,
        "code": problem["code"],
        "message": problem["detail"],
        "retry_after_s": problem["retry_after_s"],
    }
    assert foretold.headers["retry-after"] == refused.headers["retry-after"] == "400"
    assert "retry-after" not in (await service.other.post(ADDRESS, json={"payload": {"seconds": 1}})).headers


@pytest.mark.parametrize(
    ("address", "body", "status", "code", "field"),
    [
        (ADDRESS, {"payload": {"seconds": -1}}, 422, "bad_input", "/payload/seconds"),
        (ADDRESS, {}, 422, "bad_input", "/payload"),
        (ADDRESS, {"kind": "other", "payload": {"seconds": 1}}, 422, "bad_input", "/kind"),
        (ADDRESS, {"payload": {"seconds": 1}, "webhook": str(uuid4())}, 422, "unknown_webhook", "/webhook"),
        ("/v1/kinds/nothing:estimate", {"payload": {}}, 404, "not_found", None),
    ],
)
async def test_what_could_not_be_submitted_cannot_be_estimated(
    service: Any, address: str, body: Any, status: int, code: str, field: str | None
) -> None:
    answer = await service.acme.post(address, json=body)
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field)
    assert (await service.support.post(ADDRESS, json={"payload": {"seconds": 1}})).status_code == 403


async def test_the_very_file_that_would_be_submitted_can_be_estimated_however_large(service: Any) -> None:
    await worker(service)
    body = service.app.openapi()["paths"]["/v1/jobs"]["post"]["requestBody"]
    example = dict(body["content"]["application/json"]["examples"]["invoice.issue"]["value"])
    payload = example["payload"]
    line = payload["lines"][0]
    payload["lines"] = [{**line, "id": str(number), "name": "x" * 150} for number in range(1, 2_001)]
    payload.pop("expected", None)
    for body in (example, {"payload": payload}):
        answer = await service.acme.post("/v1/kinds/invoice.issue:estimate", json=body)
        assert answer.status_code == 200, answer.text
    said = answer.json()
    shown = await service.acme.job(example)
    assert said["lane"] == shown["lane"]
    assert said["promise"]["status"] == "on_track"
