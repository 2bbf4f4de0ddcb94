"""Our staff promise another time, and everybody sees how promises ended."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from invoicing.jobs.store.promise_tallies import count
from invoicing.kit.db import transaction

from .conftest import Service

WHY = {"reason": "The register is slow; Erika rang them."}
OFFICE = {"zone": "Europe/Berlin", "opens": "09:00", "closes": "17:00", "country": "DE"}


def soon(hours: float = 5) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def promise(
    service: Service, job: dict[str, Any], due: str, headers: dict[str, str] | None = None, *, preview: bool = False
) -> Any:
    path, asked = f"/v1/support/jobs/{job['id']}:promise", {"due": due, **WHY}
    return await service.support.post(path, json=asked, params={"dry_run": "true"} if preview else {}, headers=headers)


async def scalar(service: Service, statement: str) -> Any:
    async with service.engine.connect() as session:
        return await session.scalar(text(statement))


async def test_a_promise_that_was_moved_says_from_when_and_not_by_whom_or_why(service: Service) -> None:
    url = {"url": "https://hooks.example.com/in"}
    assert (await service.acme.post("/v1/webhooks", json=url, headers={"Idempotency-Key": str(uuid4())})).is_success
    job = await service.acme.job()
    before, due = job["promise"]["due"], soon()
    preview = (await promise(service, job, due, preview=True)).json()
    assert preview["changed"]
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["promise"]["due"] == before
    done = (await promise(service, job, due)).json()
    assert datetime.fromisoformat(done["after"]["promise_due"]) == datetime.fromisoformat(due)
    assert done["before"]["promise_due"] == before
    shown = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["promise"]
    (moved,) = shown["history"]
    assert (shown["moved_from"], moved["moved_from"], moved["news"], moved["by"]) == (
        before,
        before,
        "moved",
        "support",
    )
    assert moved["reason"]["code"] == "no_worker"
    told = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).text
    body = await scalar(service, "SELECT body FROM messages WHERE event = 'job.promise_moved'")
    for text_ in (told, body, str(shown)):
        assert "Erika" not in text_
    assert await scalar(service, "SELECT reason FROM promise_changes") == WHY["reason"]
    assert await scalar(service, "SELECT reason FROM audit_entries WHERE act = 'job.promise_moved'") == WHY["reason"]
    assert not (await promise(service, job, due)).json()["changed"]


async def test_the_same_request_sent_again_moves_a_promise_once(service: Service) -> None:
    job, due = await service.acme.job(), soon()
    key = {"Idempotency-Key": "move-1"}
    assert (await promise(service, job, due, key)).json()["changed"]
    again = await promise(service, job, due, key)
    assert (again.headers["idempotency-replayed"], again.json()["changed"]) == ("true", False)
    assert (await promise(service, job, soon(6), key)).json()["code"] == "idempotency_key_reused"


async def test_a_time_at_which_nobody_works_is_refused_with_the_next_at_which_somebody_does(service: Service) -> None:
    asked = {"customer": "acme", "kind": "drill", "hours": 4, "calendar": OFFICE, "reason": "the contract of May"}
    assert (await service.admin.post("/v1/admin/agreements", json=asked)).is_success
    async with service.engine.connect() as session:
        await service.app.state.agreements.refresh(session)
    job = await service.acme.job()
    refused = await promise(service, job, "2030-06-01T12:00:00Z")  # a Saturday
    assert (refused.status_code, refused.json()["field"]) == (422, "/due")
    assert "2030-06-03T07:00:00.000Z" in refused.json()["remedy"]
    assert (await promise(service, job, "2030-06-03T07:00:00Z")).json()["changed"]
    for_another = await service.other.job()
    assert (await promise(service, for_another, "2030-06-01T12:00:00Z")).json()["changed"]


async def test_what_is_over_cannot_be_promised(service: Service) -> None:
    job = await service.acme.job()
    assert (await promise(service, job, soon(-1))).json()["field"] == "/due"
    await service.hand.finish(job["id"])
    assert (await promise(service, job, soon())).status_code == 409
    assert (await promise(service, {"id": str(uuid4())}, soon())).status_code == 404
    path = f"/v1/support/jobs/{job['id']}:promise"
    assert (await service.acme.post(path, json={"due": soon(), **WHY})).status_code == 403


async def ended(service: Service) -> None:
    """One job that ended in time, one late, one dead, and one that was cancelled."""
    in_time, late, dead, cancelled = [await service.acme.job() for _ in range(4)]
    await service.hand.finish(in_time["id"])
    await service.hand.finish(late["id"])
    await service.hand.fail(dead["id"])
    assert (await service.acme.post(f"/v1/jobs/{cancelled['id']}:cancel")).is_success
    await service.hand.finish((await service.other.job())["id"])
    async with transaction(service.engine) as session:
        await session.execute(
            text("UPDATE jobs SET finished_at = finished_at - interval '2 s' WHERE finished_at > '-infinity'")
        )
        await session.execute(
            text("UPDATE jobs SET promise_due = submitted_at - interval '1 h' WHERE id = :id"), {"id": late["id"]}
        )
        await session.execute(text("UPDATE promise_counts SET counted_to = now() - interval '1 hour'"))


async def counted(service: Service) -> None:
    more = True
    while more:
        async with transaction(service.engine) as session:
            more = await count(session)


async def test_the_share_of_promises_kept_is_counted_once_and_shown_to_each_as_far_as_it_is_theirs(
    service: Service,
) -> None:
    await ended(service)
    await counted(service)
    await counted(service)
    everybody = (await service.ops.get("/v1/promises")).json()
    news = {"updates": {"kept": 0, "missed": 0, "share": None}}
    acme = {"customer": "acme", "kind": "drill", "kept": 1, "missed": 2, "share": 0.333333, **news}
    other = {"customer": "other", "kind": "drill", "kept": 1, "missed": 0, "share": 1.0, **news}
    assert everybody["items"] == [acme, other]
    assert everybody["total"] == {"kept": 2, "missed": 2, "share": 0.5, **news}
    assert (await service.support.get("/v1/promises", params={"customer": "other"})).json()["items"] == [other]
    assert (await service.other.get("/v1/promises")).json()["items"] == [other]
    assert (await service.other.get("/v1/promises", params={"customer": "acme"})).json()["items"] == []
    empty = (await service.ops.get("/v1/promises", params={"kind": "nothing"})).json()
    assert (empty["items"], empty["total"]["share"]) == ([], None)


@pytest.mark.parametrize("asked", [{"since": "yesterday"}, {"since": soon(1)}])
async def test_a_time_that_is_none_is_refused(service: Service, asked: dict[str, str]) -> None:
    assert (await service.ops.get("/v1/promises", params=asked)).status_code == 400


async def test_the_end_of_a_job_is_the_last_of_its_promise(service: Service) -> None:
    job = await service.acme.job()
    assert job["promise"]["history"] == []
    await service.hand.finish(job["id"])
    shown = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    (end,) = shown["promise"]["history"]
    assert (end["news"], end["at"], end["due"]) == ("kept", shown["finished_at"], job["promise"]["due"])
