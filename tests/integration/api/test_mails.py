"""Mail addresses over HTTP: added with nothing sent but a code, confirmed, never doubled."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from invoicing.app.web import create_app
from invoicing.kit.db import transaction
from invoicing.settings import Settings

from .conftest import Service

FORM = {"address": "Billing@Shop.Example"}


async def add(customer: Any, key: str | None = None, **form: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key or str(uuid4())}
    answer: httpx.Response = await customer.post("/v1/mails", json={**FORM, **form}, headers=headers)
    return answer


async def code_of(service: Service, mail_id: str) -> str:
    """Read the newest code in the mail, as who gets it would."""
    async with service.engine.connect() as session:
        statement = "SELECT body::json -> 'data' ->> 'code' FROM messages WHERE endpoint_id = :id ORDER BY id DESC"
        return str(await session.scalar(text(statement), {"id": mail_id}))


async def test_an_address_is_added_once_and_confirmed_by_its_code(service: Service) -> None:
    first = await add(service.acme, key="mine")
    again = await add(service.acme, key="mine")
    assert (first.status_code, again.status_code, again.headers["idempotency-replayed"]) == (201, 201, "true")
    one = first.json()
    assert again.json() == one
    assert (one["address"], one["status"], one["language"]) == ("Billing@shop.example", "unconfirmed", "en")
    maintenance = ["maintenance.announced", "maintenance.cancelled"]
    incident = ["incident.opened", "incident.updated", "incident.resolved"]
    assert one["events"] == ["job.succeeded", "job.dead", "job.cancelled", *maintenance, *incident]
    assert (await add(service.acme)).json()["code"] == "conflict"
    assert (await add(service.acme, key="mine", language="de")).json()["code"] == "idempotency_key_reused"
    path = first.headers["location"]

    wrong = await service.acme.post(f"{path}:confirm", json={"code": "AAAAAAAA"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "/code")
    right = await service.acme.post(f"{path}:confirm", json={"code": await code_of(service, one["id"])})

    assert (right.status_code, right.json()["status"]) == (200, "working")
    assert (await service.acme.get("/v1/mails")).json()["items"] == [right.json()]
    (mail,) = (await service.acme.get(f"{path}/deliveries")).json()["items"]
    assert (mail["type"], mail["job_id"]) == ("mail.confirm", None)
    assert (await service.acme.post(f"{path}/deliveries/{mail['id']}:resend")).json()["code"] == "conflict"
    assert (await service.acme.post(f"{path}:send-code")).json()["code"] == "conflict"
    assert (await service.acme.delete(path)).status_code == 204
    assert (await service.acme.get(path)).status_code == 404
    assert (await add(service.acme, key="mine")).json()["code"] == "gone"


async def test_wrong_codes_count_though_each_is_refused(service: Service) -> None:
    mail_id = (await add(service.acme)).json()["id"]
    for _ in range(5):
        assert (await service.acme.post(f"/v1/mails/{mail_id}:confirm", json={"code": "A"})).status_code == 422
    code = await code_of(service, mail_id)
    assert (await service.acme.post(f"/v1/mails/{mail_id}:confirm", json={"code": code})).status_code == 422
    soon = await service.acme.post(f"/v1/mails/{mail_id}:send-code")
    assert (soon.status_code, int(soon.headers["retry-after"]) <= 60) == (429, True)
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE endpoints SET code_sent_at = now() - interval '2 min'"))
    assert (await service.acme.post(f"/v1/mails/{mail_id}:send-code")).status_code == 202
    code = await code_of(service, mail_id)
    assert (await service.acme.post(f"/v1/mails/{mail_id}:confirm", json={"code": code})).status_code == 200


async def test_a_webhook_is_no_mail_address_and_a_mail_address_no_webhook(service: Service) -> None:
    mail_id = (await add(service.acme)).json()["id"]
    form = {"url": "https://example.com/hook"}
    hook = (await service.acme.post("/v1/webhooks", json=form, headers={"Idempotency-Key": "hook"})).json()["id"]
    assert (await service.acme.get(f"/v1/webhooks/{mail_id}")).status_code == 404
    assert (await service.acme.post(f"/v1/webhooks/{mail_id}:enable")).status_code == 404
    assert (await service.acme.post(f"/v1/webhooks/{mail_id}:rotate-secret")).status_code == 404
    assert (await service.acme.delete(f"/v1/webhooks/{mail_id}")).status_code == 404
    assert (await service.acme.get(f"/v1/mails/{hook}")).status_code == 404
    assert (await service.acme.delete(f"/v1/mails/{hook}")).status_code == 404
    assert [one["id"] for one in (await service.acme.get("/v1/webhooks")).json()["items"]] == [hook]
    named = await service.acme.submit({"kind": "drill", "payload": {}, "webhook": mail_id})
    assert (named.status_code, named.json()["code"]) == (422, "unknown_webhook")


@pytest.mark.parametrize(
    "address",
    [
        "a@b", "a b@example.com", "a@example.com\r\nBcc: b@example.com", "a@example.com,b@example.com",
        "<a@example.com>", "a@[127.0.0.1]", "a@10.0.0.1", "ä@example.com", '"a b"@example.com', "a..b@example.com",
        "a@example.com?cc=b@c.de",
        "a%0d%0aRCPT@example.com\n", "@example.com", "a@-example.com", f"{'a' * 250}@example.com",
    ],
)  # fmt: skip
async def test_what_is_no_plain_address_is_refused(service: Service, address: str) -> None:
    refused = await add(service.acme, address=address)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "/address"), refused.text


async def test_where_no_mails_are_sent_that_is_said(service: Service, database_url: str) -> None:
    app = create_app(Settings(database_url=database_url, drills=True), engine=service.engine)
    headers = {"Authorization": f"Bearer {service.acme.key}", "Idempotency-Key": "mine"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", headers=headers) as here:
        refused = await here.post("/v1/mails", json=FORM)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "webhook" in refused.json()["remedy"]
