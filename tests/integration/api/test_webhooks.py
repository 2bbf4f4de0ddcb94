"""Webhooks over HTTP: added once, secrets shown once, nothing of another's, resent and tried out by hand."""

from json import dumps, loads
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from .conftest import DRILL, Service

URL = "https://hooks.example.com/in"


async def add(customer: Any, url: str = URL, key: str | None = None, **more: Any) -> Any:
    headers = {"Idempotency-Key": key or str(uuid4())}
    return await customer.post("/v1/webhooks", json={"url": url, **more}, headers=headers)


async def added(customer: Any, url: str = URL, **more: Any) -> dict[str, Any]:
    answer = await add(customer, url, **more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def acts(service: Service, target: str) -> list[str]:
    async with service.engine.connect() as session:
        rows = await session.execute(
            text("SELECT act FROM audit_entries WHERE target = :target ORDER BY id"), {"target": f"webhook:{target}"}
        )
        return list(rows.scalars())


async def test_a_secret_is_shown_when_it_is_made_and_never_again(service: Service) -> None:
    one = await added(service.acme, description="the shop", events=["job.dead", "job.succeeded", "job.dead"])
    assert one["secret"].startswith("whsec_")
    assert (one["status"], one["events"], one["description"]) == ("working", ["job.dead", "job.succeeded"], "the shop")
    path = f"/v1/webhooks/{one['id']}"
    secret = one.pop("secret")
    assert (await service.acme.get(path)).json() == one
    assert (await service.acme.get("/v1/webhooks")).json() == {"items": [one], "next_page_token": None}
    rotated = (await service.acme.post(f"{path}:rotate-secret")).json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != secret
    assert rotated["old_secret_until"] is not None
    for seen in (await service.acme.get(path), await service.acme.get("/v1/webhooks")):
        assert "whsec_" not in seen.text
        assert "secret" not in seen.text.replace("old_secret_until", "")
    assert await acts(service, one["id"]) == ["webhook.added", "webhook.secret_rotated"]


async def test_the_same_request_sent_again_makes_no_second_webhook_and_shows_no_secret(service: Service) -> None:
    first = await add(service.acme, key="mine")
    again = await add(service.acme, key="mine")
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["secret"] is None
    assert again.headers["location"] == first.headers["location"] == f"/v1/webhooks/{first.json()['id']}"
    other = await add(service.acme, "https://hooks.example.com/other", key="mine")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = await service.acme.post("/v1/webhooks", json={"url": URL})
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    assert (await add(service.other, key="mine")).json()["id"] != first.json()["id"], "keys are the customer's own"
    await service.acme.delete(first.headers["location"])
    gone = await add(service.acme, key="mine")
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")


async def test_two_webhooks_for_one_address_and_one_too_many_are_refused(service: Service) -> None:
    await added(service.acme)
    twice = await add(service.acme)
    assert (twice.status_code, twice.json()["field"]) == (409, "/url")
    for number in range(19):
        await added(service.acme, f"{URL}/{number}")
    assert (await add(service.acme, f"{URL}/more")).json()["code"] == "conflict"
    await added(service.other)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "https://[fe80::1]/",
        "https://169.254.169.254/latest/meta-data/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/",
        "https://2130706433/", "https://0177.0.0.1/", "https://0x7f.1/", "https://user:secret@example.com/",
        "https://example.com/#x", "ftp://example.com/", "https://exa mple.com/", "https://", "nonsense", "",
    ],
)  # fmt: skip
async def test_an_address_that_would_never_be_asked_is_refused_when_it_is_given(service: Service, url: str) -> None:
    answer = await add(service.acme, url)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "bad_input", "/url")
    assert answer.json()["remedy"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": URL, "events": []}, "/events"),
        ({"url": URL, "events": ["job.started"]}, "/events/0"),
        ({"url": URL, "secret": "whsec_mine"}, "/secret"),
        ({"url": URL, "description": "a\nb"}, "/description"),
        ({}, "/url"),
    ],
)
async def test_a_wrong_field_is_named(service: Service, body: dict[str, Any], field: str) -> None:
    answer = await service.acme.post("/v1/webhooks", json=body, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_test_message_waits_to_be_sent_and_shows_among_the_deliveries(service: Service) -> None:
    one = await added(service.acme)
    path = f"/v1/webhooks/{one['id']}"
    sent = await service.acme.post(f"{path}:test")
    assert sent.status_code == 202
    delivery = sent.json()
    assert (delivery["type"], delivery["state"], delivery["job_id"]) == ("webhook.test", "waiting", None)
    listed = (await service.acme.get(f"{path}/deliveries")).json()["items"]
    assert [row["id"] for row in listed] == [delivery["id"]]
    assert await acts(service, one["id"]) == ["webhook.added", "webhook.tested"]
    again = (await service.acme.post(f"{path}:test")).json()
    assert again["id"] == delivery["id"], "nobody is flooded with test messages by way of us"


async def test_deliveries_come_page_by_page_and_by_state(service: Service) -> None:
    one = await added(service.acme)
    path = f"/v1/webhooks/{one['id']}/deliveries"
    jobs = [await service.acme.job() for _ in range(5)]
    for job in jobs:
        await service.hand.finish(job["id"])
    async with service.engine.begin() as session:
        await session.execute(
            text("UPDATE messages SET state = 'dead', finished_at = now() WHERE job_id = :id"), {"id": jobs[0]["id"]}
        )
    seen, token = [], None
    while True:
        parameters = {"page_size": 2} | ({"page_token": token} if token else {})
        page = (await service.acme.get(path, params=parameters)).json()
        seen += [row["job_id"] for row in page["items"]]
        token = page["next_page_token"]
        if token is None:
            break
    assert sorted(seen) == sorted(job["id"] for job in jobs)
    dead = (await service.acme.get(path, params={"state": "dead"})).json()["items"]
    assert [row["job_id"] for row in dead] == [jobs[0]["id"]]
    assert (await service.acme.get(path, params={"state": "lost"})).status_code == 400
    resent = await service.acme.post(f"{path}/{dead[0]['id']}:resend")
    assert (resent.status_code, resent.json()["state"]) == (202, "waiting")
    assert (await service.acme.get(path, params={"state": "dead"})).json()["items"] == []


async def test_a_disabled_webhook_is_neither_tried_nor_resent_to_before_it_is_enabled(service: Service) -> None:
    one = await added(service.acme)
    path = f"/v1/webhooks/{one['id']}"
    delivery = (await service.acme.post(f"{path}:test")).json()
    async with service.engine.begin() as session:
        await session.execute(text("UPDATE endpoints SET disabled_at = now(), disabled_why = 'It said 410.'"))
    assert (await service.acme.get(path)).json()["status"] == "disabled"
    for call in (f"{path}:test", f"{path}/deliveries/{delivery['id']}:resend"):
        answer = await service.acme.post(call)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert ":enable" in answer.json()["remedy"]
    assert (await service.acme.post(f"{path}:enable")).json()["status"] == "working"
    assert (await service.acme.post(f"{path}/deliveries/{delivery['id']}:resend")).status_code == 202


async def test_a_removed_webhook_is_gone_and_its_secret_with_it(service: Service) -> None:
    one = await added(service.acme)
    path = f"/v1/webhooks/{one['id']}"
    assert (await service.acme.delete(path)).status_code == 204
    assert (await service.acme.delete(path)).status_code == 404
    assert (await service.acme.get(f"{path}/deliveries")).status_code == 404
    assert (await service.acme.get("/v1/webhooks")).json()["items"] == []
    async with service.engine.connect() as session:
        kept = (await session.execute(text("SELECT secret, old_secret FROM endpoints"))).one()
    assert tuple(kept) == ("", None)
    await added(service.acme)


@pytest.mark.parametrize("named", [URL, "id"])
async def test_a_job_may_name_a_webhook_of_its_customer_and_no_other(service: Service, named: str) -> None:
    one = await added(service.acme)
    name = one["id"] if named == "id" else named
    assert (await service.acme.submit({**DRILL, "webhook": name}, key="mine")).status_code == 202
    theirs = await service.other.submit({**DRILL, "webhook": name})
    assert (theirs.status_code, theirs.json()["code"], theirs.json()["field"]) == (422, "unknown_webhook", "/webhook")
    assert "/v1/webhooks" in theirs.json()["remedy"]
    await service.acme.delete(f"/v1/webhooks/{one['id']}")
    assert (await service.acme.submit({**DRILL, "webhook": name})).json()["code"] == "unknown_webhook"
    again = await service.acme.submit({**DRILL, "webhook": name}, key="mine")
    assert again.headers["idempotency-replayed"] == "true", "what was accepted is not refused by what changed since"


async def test_a_line_of_a_batch_that_names_no_webhook_of_ours_fails_alone(service: Service) -> None:
    one = await added(service.acme)
    lines = [{**DRILL, "webhook": URL}, {**DRILL, "webhook": "https://hooks.example.com/none"}, DRILL]

    async def send() -> list[dict[str, Any]]:
        body = "\n".join(map(dumps, lines))
        headers = {"Idempotency-Key": "batch", "Content-Type": "application/x-ndjson"}
        answer = await service.acme.post("/v1/jobs:batch", content=body, headers=headers)
        return [loads(line) for line in answer.text.splitlines()]

    first = await send()
    assert [line["status"] for line in first] == [202, 422, 202]
    assert first[1]["problem"]["code"] == "unknown_webhook"
    await service.acme.delete(f"/v1/webhooks/{one['id']}")
    again = await send()
    assert [line["status"] for line in again] == [202, 422, 202]
    assert [line.get("replayed") for line in again] == [True, None, True]
