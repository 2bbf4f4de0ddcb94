"""What is agreed with a customer is promised to it and to nobody else, within seconds, and is on the audit."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.jobs.model.calendars import Calendar, due_of

from .conftest import Service

WHY = {"reason": "agreed in the contract of May"}
OFFICE = {"zone": "Europe/Berlin", "opens": "09:00", "closes": "17:00", "country": "DE"}


async def agree(service: Service, **asked: Any) -> Any:
    return await service.admin.post("/v1/admin/agreements", json={"customer": "acme", "kind": "drill", **WHY, **asked})


async def promised(customer: Any, job: dict[str, Any] | None = None) -> timedelta:
    job = job or await customer.job()
    return datetime.fromisoformat(job["promise"]["due"]) - datetime.fromisoformat(job["submitted_at"])


async def refresh(service: Service) -> None:
    """Do at once what the web process does every few seconds."""
    async with service.engine.connect() as session:
        await service.app.state.agreements.refresh(session)


async def test_an_agreement_holds_for_its_customer_and_its_new_jobs_alone(service: Service) -> None:
    before = await service.acme.job()
    usual = await promised(service.acme, before)
    answer = await agree(service, hours=2)
    assert answer.status_code == 200
    assert answer.json()["promises"]["small"] == {"seconds": 7200.0, "calendar": None}
    await refresh(service)
    assert await promised(service.acme) == timedelta(hours=2)
    assert await promised(service.other) == usual
    assert await promised(service.acme, (await service.acme.get(f"/v1/jobs/{before['id']}")).json()) == usual
    kind = (await service.acme.get("/v1/kinds/drill")).json()
    assert set(kind["promise"].values()) == {7200.0}
    listed = (await service.admin.get("/v1/admin/agreements")).json()["items"]
    assert [(one["customer"], one["kind"], len(one["promises"])) for one in listed] == [("acme", "drill", 4)]
    assert (await agree(service, hours=None)).json()["promises"] == {}
    await refresh(service)
    assert await promised(service.acme) == usual


async def test_in_business_hours_a_job_is_due_while_somebody_works(service: Service) -> None:
    assert (await agree(service, hours=4, calendar=OFFICE, size="small")).status_code == 200
    await refresh(service)
    job = await service.acme.job()
    calendar = Calendar.of_json({**OFFICE, "weekdays": range(5), "subdivision": None})
    due = datetime.fromisoformat(job["promise"]["due"])
    submitted = datetime.fromisoformat(job["submitted_at"])
    assert abs(due - due_of(submitted, timedelta(hours=4), calendar)) < timedelta(seconds=5)
    assert due_of(due, timedelta(0), calendar) == due
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["promise"]["due"] == job["promise"]["due"]
    lines = (await service.acme.post("/v1/jobs:batch", content=b'{"kind":"drill","payload":{"seconds":1}}\n', headers={
        "Content-Type": "application/x-ndjson", "Idempotency-Key": "a-batch"})).text  # fmt: skip
    assert '"due":"' in lines.replace('": "', '":"')
    kind = (await service.acme.get("/v1/kinds/drill")).json()
    assert (kind["promise"]["small"], kind["promise_calendar"]["small"]["zone"]) == (14400.0, "Europe/Berlin")
    assert kind["promise_calendar"]["large"] is None


async def test_an_agreement_is_on_the_audit_with_what_was_agreed_before(service: Service) -> None:
    await agree(service, hours=2, size="huge")
    await agree(service, hours=3, size="huge")
    async with service.engine.connect() as session:
        rows = (
            await session.execute(text("SELECT act, reason, data FROM audit_entries ORDER BY id DESC LIMIT 1"))
        ).one()
    assert (rows.act, rows.reason) == ("customer.agreed", WHY["reason"])
    assert [rows.data[side]["huge"]["seconds"] for side in ("from", "to")] == [7200.0, 10800.0]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"hours": 1, "customer": "nobody"}, "/customer"),
        ({"hours": 1, "kind": "nothing"}, "/kind"),
        ({"hours": 0}, "/hours"),
        ({}, "/hours"),
        ({"hours": 1, "calendar": {**OFFICE, "zone": "Europe/Nowhere"}}, "/calendar"),
        ({"hours": 1, "calendar": {**OFFICE, "country": "XX"}}, "/calendar"),
        ({"hours": 1, "calendar": {**OFFICE, "opens": "25:00"}}, "/calendar/opens"),
        ({"hours": 8760, "calendar": {**OFFICE, "closes": "09:01"}}, "/hours"),
    ],
)
async def test_what_makes_no_sense_is_not_agreed(service: Service, asked: dict[str, Any], field: str) -> None:
    answer = await agree(service, **asked)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


async def test_only_admins_agree(service: Service) -> None:
    for caller in (service.acme, service.support, service.ops):
        for answer in (
            await caller.get("/v1/admin/agreements"),
            await caller.post("/v1/admin/agreements", json={"customer": "acme", "kind": "drill", "hours": 1, **WHY}),
        ):
            assert answer.status_code == 403
