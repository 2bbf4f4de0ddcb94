"""What a person looks at first says so to its customer with a deadline, and a quota says when it begins anew."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.cli.checks_servers import servers
from invoicing.kit.db import transaction
from workers.kinds.invoice_issue import EXAMPLE

from .conftest import Service
from .holding import LARGE, OWNER, QUOTA, REVIEWED, SMALL, WHY, act, events, moment, seen, set_quota, set_review
from .test_commands import run


async def test_a_large_job_is_in_review_from_its_acceptance_on_and_says_why_and_until_when(service: Service) -> None:
    assert (await set_review(service)).status_code == 200
    job = await service.acme.job(LARGE)
    cause = job["cause"]
    assert (job["state"], cause["code"], job["position"]) == ("in_review", "in_review", None)
    evidence = cause["evidence"]
    assert (evidence["measure"], evidence["predicted_s"], evidence["limit_s"], evidence["overdue"]) == (
        *("size", 100.0, 60.0), False,
    )  # fmt: skip
    due, submitted = moment(evidence["due_at"]), moment(job["submitted_at"])
    assert due - submitted == timedelta(hours=4)
    assert moment(cause["next_update_by"]) - submitted <= timedelta(hours=1, seconds=30)
    assert moment(job["promise"]["due"]) > due, "it is promised for the time after it is decided"
    assert job["promise"]["status"] == "on_track"
    assert job == {**await seen(service, job), "cause": cause, "eta": job["eta"]}
    assert OWNER not in json.dumps(job)
    assert await events(service, job) == [("accepted", "in_review")]
    assert (await service.acme.job(SMALL))["state"] == "queued"
    german = await seen(service, job, headers={"Accept-Language": "de"})
    assert "von einem Menschen geprüft" in german["cause"]["message"]
    assert (await service.other.get(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_a_review_that_is_released_waits_from_then_on_and_is_audited(service: Service) -> None:
    await set_review(service)
    job = await service.acme.job(LARGE)
    preview = (await act(service.support, job, "release", dry_run="true")).json()
    assert (preview["before"]["state"], preview["after"]["state"], preview["dry_run"]) == ("in_review", "queued", True)
    assert (await seen(service, job))["state"] == "in_review"
    done = await act(service.support, job, "release")
    assert (done.status_code, done.json()["changed"]) == (200, True)
    assert (await seen(service, job))["state"] == "queued"
    assert await events(service, job) == [("accepted", "in_review"), ("released", "queued")]
    assert (await act(service.support, job, "release")).status_code == 409
    assert (await act(service.support, job, "reject")).status_code == 409
    await service.hand.finish(job["id"])
    told = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).text
    assert "Erika" not in told
    async with service.engine.connect() as session:
        audited = await session.execute(text("SELECT act, reason FROM audit_entries WHERE act LIKE 'job.%'"))
        assert [tuple(row) for row in audited] == [("job.released", WHY["reason"])]
        assert (await session.execute(text("SELECT count(*) FROM holds"))).scalar_one() == 0


async def test_a_review_that_is_rejected_ends_the_job_and_its_customer_reads_why(service: Service) -> None:
    await set_review(service)
    hook = {"url": "https://acme.example.com/"}
    assert (await service.acme.post("/v1/webhooks", json=hook, headers={"Idempotency-Key": "hook"})).is_success
    job = await service.acme.job(LARGE)
    preview = (await act(service.ops, job, "reject", dry_run="true")).json()
    assert preview["after"]["state"] == "dead"
    assert (await act(service.ops, job, "reject")).status_code == 200
    ended = await seen(service, job)
    assert (ended["state"], ended["error"]["code"]) == ("dead", "review_rejected")
    assert ended["error"]["message"] == "It does not fit your contract."
    assert ended["error"]["remedy"]
    why = (await service.acme.get(f"/v1/jobs/{job['id']}/why")).json()
    assert [cause["code"] for cause in why["causes"]] == ["rejected"]
    assert why["account"]["totals"].keys() <= {"in_review"}
    retry = await act(service.support, job, "retry")
    assert (retry.status_code, retry.json()["code"]) == (409, "conflict")
    assert await events(service, job) == [("accepted", "in_review"), ("dead", "dead")]
    async with service.engine.connect() as session:
        (told,) = (await session.execute(text("SELECT body FROM messages WHERE event = 'job.dead'"))).scalars()
    assert json.loads(told)["data"]["error"] == ended["error"]
    assert "Erika" not in told


async def test_only_what_is_decided_or_cancelled_ends_a_review(service: Service) -> None:
    await set_review(service)
    job = await service.acme.job(LARGE)
    for verb in ("expedite", "retry"):
        assert (await act(service.support, job, verb)).status_code == 409
    for client in (service.acme, service.other):
        assert (await act(client, job, "release")).status_code == 403
        assert (await client.get("/v1/support/holds")).status_code == 403
    assert (await service.acme.post(f"/v1/jobs/{job['id']}:cancel")).json()["state"] == "cancelled"
    assert (await service.support.get("/v1/support/holds")).json()["items"] == []


async def test_our_staff_see_what_is_due_first_and_what_is_overdue(
    service: Service, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await set_review(service, within_hours=9)
    later = await service.acme.job({**LARGE, "reference": "PO-9"})
    await set_review(service, customer="other", within_hours=1)
    sooner = await service.other.job(LARGE)
    first = (await service.support.get("/v1/support/holds", params={"page_size": 1})).json()
    rest = {"page_size": 1, "page_token": first["next_page_token"]}
    second = (await service.ops.get("/v1/support/holds", params=rest)).json()
    listed = [*first["items"], *second["items"]]
    assert [(one["job_id"], one["customer"], one["overdue"]) for one in listed] == [
        (sooner["id"], "other", False), (later["id"], "acme", False),
    ]  # fmt: skip
    assert (listed[1]["owner"], listed[1]["reference"], listed[1]["value"]) == (OWNER, "PO-9", "100.0")
    assert second["next_page_token"] is None
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE holds SET due = now() - interval '1 s'"))
    overdue = await seen(service, later)
    assert (overdue["cause"]["evidence"]["overdue"], overdue["eta"]) == (True, None)
    assert "is overdue" in overdue["cause"]["message"]
    assert await run(service, service.support, "holds") == 0
    assert capsys.readouterr().out.count("overdue") == 2
    (checked,) = (one for one in await servers(database_url, None) if one.check == "reviews")
    assert (checked.condition, checked.seen.startswith("overdue: 2, ")) == ("warning", True)
    assert OWNER in checked.seen
    wish = ("jobs", "reject", later["id"], "--reason", "no order", "--message", "Not ordered.")
    assert await run(service, service.support, *wish, "--dry-run") == 0
    assert "to   dead" in capsys.readouterr().out
    assert await run(service, service.support, "jobs", "release", later["id"], "--reason", "ordered") == 0
    assert "from in_review" in capsys.readouterr().out


async def test_an_amount_above_the_limit_is_reviewed_in_its_currency_alone(service: Service) -> None:
    asked = {"kind": "invoice.issue", "seconds": None, "amount": "10000", "currency": "CNY"}
    assert (await set_review(service, **asked)).json()["rules"] == [
        {"measure": "CNY", "above": "10000", "owner": OWNER, "within_hours": 4.0}
    ]

    def invoice(price: str, currency: str, lines: int = 1) -> dict[str, Any]:
        (line, *_) = EXAMPLE["lines"]
        some = [{**line, "id": str(n), "quantity": "1", "price": price, "allowances": []} for n in range(lines)]
        payload = {**EXAMPLE, "currency": currency, "lines": some, "expected": None}
        return {"kind": "invoice.issue", "payload": payload}

    cases = [("300.00", "CNY", 1), ("12000.00", "EUR", 1), ("12000.00", "CNY", 1), ("5.00", "CNY", 3000)]
    jobs = [await service.acme.job(invoice(*case)) for case in cases]
    assert [job["state"] for job in jobs] == ["queued", "queued", "in_review", "in_review"]
    evidence = jobs[2]["cause"]["evidence"]
    assert (evidence["amount"], evidence["limit"], evidence["currency"]) == ("14280.00", "10000", "CNY")
    assert "14,280.00 CNY is above 10,000 CNY" in jobs[2]["cause"]["message"]


async def test_a_customers_own_rule_takes_the_place_of_everybodys(service: Service) -> None:
    await set_review(service)
    await set_review(service, customer="acme", seconds=1000)
    assert (await service.acme.job(LARGE))["state"] == "queued"
    assert (await service.other.job(LARGE))["state"] == "in_review"
    rules = (await service.admin.get("/v1/admin/reviews")).json()["items"]
    assert {(one["customer"], one["rules"][0]["above"]) for one in rules} == {(None, "60.0"), ("acme", "1000.0")}
    ended = await set_review(service, customer="acme", owner=None, within_hours=None)
    assert ended.json()["rules"] == [], "who ends a rule need not say who decided"
    assert (await service.acme.job(LARGE))["state"] == "in_review"


async def test_a_batch_says_of_each_line_whether_something_holds_it(service: Service) -> None:
    await set_review(service)
    await set_quota(service, most=1)
    lines = b"\n".join(json.dumps(one).encode() for one in (SMALL, LARGE, SMALL))
    headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": "a-batch"}
    for replayed in (False, True):
        answers = (await service.acme.post("/v1/jobs:batch", content=lines, headers=headers)).text.splitlines()
        told = [json.loads(answer) for answer in answers]
        assert [one["replayed"] for one in told] == [replayed] * 3
        assert [one["job"]["cause"]["code"] for one in told[1:]] == ["in_review", "awaiting_quota"]


INVOICE = {"kind": "invoice.issue", "seconds": None, "amount": "1"}


async def test_what_makes_no_sense_is_not_set(service: Service) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("reviews", {**REVIEWED, "customer": "nobody"}, "/customer"),
        ("reviews", {**REVIEWED, "kind": "nothing"}, "/kind"),
        ("reviews", {**REVIEWED, "amount": "1"}, ""),
        ("reviews", {**REVIEWED, "seconds": None, "amount": "1", "currency": "CNY"}, "/amount"),  # of a drill
        ("reviews", {**REVIEWED, **INVOICE, "currency": "EUE"}, "/currency"),
        ("reviews", {key: value for key, value in REVIEWED.items() if key != "owner"}, "/owner"),
        ("reviews", {**REVIEWED, "kind": "nothing", "within_hours": None}, "/kind"),
        ("reviews", {**REVIEWED, "within_hours": 0}, "/within_hours"),
        ("reviews", {**REVIEWED, "within_hours": 1e-12}, "/within_hours"),
        ("reviews", {**REVIEWED, "seconds": None, "amount": "-1", "currency": "CNY"}, "/amount"),
        ("quotas", {**QUOTA, "customer": "nobody"}, "/customer"),
        ("quotas", {**QUOTA, "zone": "Europe/Nowhere"}, "/zone"),
        ("quotas", {**QUOTA, "most": 0}, "/most"),
        ("quotas", {**QUOTA, "period": "week"}, "/period"),
        ("quotas", {**QUOTA, "kind": "nothing"}, "/kind"),
        ("quotas", {**QUOTA, "kind": "nothing", "most": None}, "/kind"),
    ]
    for path, asked, field in cases:
        answer = await service.admin.post(f"/v1/admin/{path}", json=asked)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
        assert "Value error" not in answer.text


async def test_what_holds_jobs_of_a_kind_that_is_offered_no_more_can_be_ended(service: Service) -> None:
    await set_review(service)
    await set_quota(service, kind="drill")
    async with transaction(service.engine) as session:
        for table in ("reviews", "quotas"):
            await session.execute(text(f"UPDATE {table} SET kind = 'gone'"))
    assert (await set_review(service, kind="gone")).status_code == 422
    assert (await set_review(service, kind="gone", within_hours=None)).json()["rules"] == []
    assert (await set_quota(service, kind="gone", most=None)).json()["most"] is None
    for path in ("reviews", "quotas"):
        assert (await service.admin.get(f"/v1/admin/{path}")).json()["items"] == []


async def test_only_admins_set_what_holds(service: Service) -> None:
    for caller in (service.acme, service.support, service.ops):
        for path, asked in (("reviews", REVIEWED), ("quotas", QUOTA)):
            assert (await caller.get(f"/v1/admin/{path}")).status_code == 403
            assert (await caller.post(f"/v1/admin/{path}", json=asked)).status_code == 403
