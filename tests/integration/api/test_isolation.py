"""Nothing of a customer's is seen, changed or hinted at by another: every operation with an id in the OpenAPI."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from invoicing.app.web import create_app
from invoicing.settings import Settings

SCHEMA = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none", drills=True)).openapi()
STAFFS = "/v1/support/"
WITH_A_JOB = [
    (method.upper(), path) for path, methods in SCHEMA["paths"].items() for method in methods if "{job_id}" in path
]
WITH_A_WEBHOOK = [
    (method.upper(), path) for path, methods in SCHEMA["paths"].items() for method in methods if "{webhook_id}" in path
]
WITH_A_MAIL = [
    (method.upper(), path) for path, methods in SCHEMA["paths"].items() for method in methods if "{mail_id}" in path
]
OF_CUSTOMERS = [(method, path) for method, path in WITH_A_JOB if not path.startswith(STAFFS)]
OF_STAFF = [(method, path) for method, path in WITH_A_JOB if path.startswith(STAFFS)]
WITH_A_KEY = [
    (method.upper(), path)
    for path, methods in SCHEMA["paths"].items()
    for method, operation in methods.items()
    if operation["security"]
]
NOBODYS = "0199a3c2-0000-7000-8000-000000000000"
NEEDED = {
    ":move": {"priority": "urgent"},
    ":promise": {"due": "2100-01-01T00:00:00Z"},
    ":reject": {"message": "No."},
    ":pause": {"until": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
}
PREVIEW = {"dry_run": "true"}


def filled(path: str, job_id: str) -> str:
    return re.sub(r"\{\w+\}", "file.txt", path.replace("{job_id}", job_id))


def test_the_operations_are_found() -> None:
    assert len(OF_CUSTOMERS) >= 5
    assert len(OF_STAFF) >= 4
    assert len(WITH_A_KEY) >= 15
    ids = {name for path in SCHEMA["paths"] for name in re.findall(r"\{(\w+)\}", path)}
    assert len(WITH_A_WEBHOOK) >= 7
    assert len(WITH_A_MAIL) >= 6
    known = {"job_id", "name", "kind", "lane", "setting", "webhook_id", "mail_id", "delivery_id"}
    known |= {
        "channel_id",
        "incident_id",
        "window_id",
        "override_id",
        "customer",
    }  # of ops: tested by themselves
    assert ids == known, "a new kind of id needs its own case here"


@pytest.mark.parametrize(("method", "path"), OF_CUSTOMERS)
async def test_anothers_job_answers_like_one_that_does_not_exist(service: Any, method: str, path: str) -> None:
    job = await service.acme.job({"kind": "drill", "payload": {}, "reference": "secret"})
    await service.hand.start(job["id"])
    await service.hand.write(job["id"], "file.txt", b"secret", sha256="0" * 64)
    before = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    answers = [
        await service.other.request(method, filled(path, job_id), headers={"Prefer": "wait=1", "Range": "bytes=0-1"})
        for job_id in (job["id"], NOBODYS)
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    if method != "HEAD":
        told = [{**answer.json(), "support_reference": None} for answer in answers]
        assert told[0] == told[1]
    after = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    assert {**after, "cause": None} == {**before, "cause": None}
    own = await service.acme.request(method, filled(path, job["id"]))
    assert own.status_code < 400, own.text


@pytest.mark.parametrize(("method", "path"), WITH_A_WEBHOOK)
async def test_anothers_webhook_answers_like_one_that_does_not_exist(service: Any, method: str, path: str) -> None:
    form = {"url": "https://secret.example.com/"}
    mine = (await service.acme.post("/v1/webhooks", json=form, headers={"Idempotency-Key": "1"})).json()
    sent = (await service.acme.post(f"/v1/webhooks/{mine['id']}:test")).json()

    def of(webhook_id: str, delivery_id: str) -> str:
        return path.replace("{webhook_id}", webhook_id).replace("{delivery_id}", delivery_id)

    before = (await service.acme.get("/v1/webhooks")).json()
    deliveries = (await service.acme.get(f"/v1/webhooks/{mine['id']}/deliveries")).json()
    answers = [
        await service.other.request(method, of(webhook_id, delivery_id))
        for webhook_id, delivery_id in ((mine["id"], sent["id"]), (NOBODYS, NOBODYS), ("no-id", "no-id"))
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    told = [{**answer.json(), "support_reference": None} for answer in answers]
    assert told[0] == told[1] == told[2]
    assert (await service.acme.get("/v1/webhooks")).json() == before
    after = (await service.acme.get(f"/v1/webhooks/{mine['id']}/deliveries")).json()
    assert [one["id"] for one in after["items"]] == [one["id"] for one in deliveries["items"]]
    assert (await service.acme.request(method, of(mine["id"], sent["id"]))).status_code < 400
    if "{delivery_id}" in path:
        theirs = (await service.other.post("/v1/webhooks", json=form, headers={"Idempotency-Key": "1"})).json()
        assert (await service.other.request(method, of(theirs["id"], sent["id"]))).status_code == 404


@pytest.mark.parametrize(("method", "path"), WITH_A_MAIL)
async def test_anothers_mail_address_answers_like_one_that_does_not_exist(service: Any, method: str, path: str) -> None:
    form = {"address": "secret@example.com"}
    mine = (await service.acme.post("/v1/mails", json=form, headers={"Idempotency-Key": "1"})).json()
    before = (await service.acme.get(f"/v1/mails/{mine['id']}/deliveries")).json()
    mail = before["items"][0]["id"]
    answers = [
        await service.other.request(
            method,
            path.replace("{mail_id}", mail_id).replace("{delivery_id}", delivery_id),
            json={"code": "AAAAAAAA"} if path.endswith(":confirm") else None,
        )
        for mail_id, delivery_id in ((mine["id"], mail), (NOBODYS, NOBODYS), ("no-id", "no-id"))
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    told = [{**answer.json(), "support_reference": None} for answer in answers]
    assert told[0] == told[1] == told[2]
    assert (await service.acme.get(f"/v1/mails/{mine['id']}")).json() == mine
    after = (await service.acme.get(f"/v1/mails/{mine['id']}/deliveries")).json()
    assert [one["id"] for one in after["items"]] == [one["id"] for one in before["items"]]


@pytest.mark.parametrize(("method", "path"), OF_STAFF)
async def test_what_staff_may_do_with_a_job_is_refused_to_customers_whosever_it_is(
    service: Any, method: str, path: str
) -> None:
    job = await service.acme.job({"kind": "drill", "payload": {}, "reference": "secret"})
    before = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    wishes: tuple[dict[str, str], ...] = (
        {},
        {"reason": "Mine first.", **next((more for verb, more in NEEDED.items() if path.endswith(verb)), {})},
    )
    customers = (service.acme, service.other)
    for customer, body, query, key in product(customers, wishes, ({}, PREVIEW), ({}, {"Idempotency-Key": "1"})):
        answers = [
            await customer.request(method, filled(path, job_id), headers=key, json=body, params=query)
            for job_id in (job["id"], NOBODYS, "no-id")
        ]
        assert [answer.status_code for answer in answers] == [403, 403, 403]
        told = [{**answer.json(), "support_reference": None} for answer in answers]
        assert told[0] == told[1] == told[2]
        assert "secret" not in answers[0].text
    after = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    assert {**after, "cause": None} == {**before, "cause": None}  # which says when it was observed
    seen = await service.support.request(method, filled(path, job["id"]), json=wishes[-1], params=PREVIEW)
    assert seen.status_code in {200, 409}, seen.text  # found; a job that waits cannot be retried
    assert (await service.support.request(method, filled(path, NOBODYS), json=wishes[-1])).status_code == 404


@pytest.mark.parametrize(("method", "path"), WITH_A_KEY)
async def test_nothing_is_open_without_a_key(service: Any, method: str, path: str) -> None:
    for authorization in ("", "Bearer", "Bearer inv_customer_nope", "Basic YTpi", f"Token {service.acme.key}"):
        answer = await service.acme.request(method, filled(path, NOBODYS), headers={"Authorization": authorization})
        assert answer.status_code == 401, authorization
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_lists_hold_only_ones_own(service: Any) -> None:
    mine, theirs = await service.acme.job(), await service.other.job()
    assert [job["id"] for job in (await service.acme.get("/v1/jobs")).json()["items"]] == [mine["id"]]
    assert [job["id"] for job in (await service.other.get("/v1/jobs")).json()["items"]] == [theirs["id"]]
