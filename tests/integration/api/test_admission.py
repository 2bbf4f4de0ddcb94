"""A flood is answered to its own customer alone, an overload to bulk first; what was accepted stays accepted."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.jobs.model import NewJob, Priority, Size
from invoicing.kit.db import driver, transaction
from invoicing.lanes import policies
from invoicing.lanes import service as lanes
from invoicing.lanes.admission import STALE_S, Doorkeeper
from invoicing.lanes.model import LANES

SMALL = ("normal", "small")


async def worker(service: Any) -> None:
    """Register a live worker of two slots: three small jobs at a time, with the spare one."""
    async with transaction(service.engine) as session:
        await lanes.register(session, uuid4(), "host", 1, "0.1", 2, [lane.name for lane in LANES], ["drill"])
        await session.execute(text("UPDATE workers SET beat_at = now() + interval '1 h'"))  # it outlives any test


async def waits(service: Any, customers: list[UUID], work_s: float, jobs: int = 10, lane: Any = SMALL) -> None:
    """Have work wait for customers, as the ledger counts it."""
    async with transaction(service.engine) as session:
        connection = await driver(session)
        rows = [(one, *lane, jobs, work_s) for one in customers]
        await connection.copy_records_to_table(
            "tallies", records=rows, columns=["customer_id", "priority", "size", "waiting", "work_s"]
        )
    await service.app.state.doorkeeper.refresh()


async def customer(service: Any, slug: str) -> UUID:
    async with service.engine.connect() as session:
        found: UUID = await session.scalar(text("SELECT id FROM customers WHERE slug = :slug"), {"slug": slug})
    return found


async def limited(service: Any, **limits: Any) -> None:
    answer = await service.admin.post("/v1/admin/limits", json={"customer": "acme", "reason": "test", **limits})
    assert answer.status_code == 200, answer.text
    await service.app.state.doorkeeper.refresh()


def drill(**more: Any) -> dict[str, Any]:
    return {"kind": "drill", "payload": {"seconds": 1}, **more}


def lines(*bodies: Any) -> str:
    return "\n".join(json.dumps(body) for body in bodies)


async def batch(client: Any, key: str, body: str) -> list[dict[str, Any]]:
    headers = {"Idempotency-Key": key, "Content-Type": "application/x-ndjson"}
    answer = await client.post("/v1/jobs:batch", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_a_flood_is_refused_to_its_own_customer_who_is_told_when_to_come_back(service: Any) -> None:
    await worker(service)
    await waits(service, [await customer(service, "acme")], 3_000.0)
    refused = await service.acme.submit()
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (429, "too_much_waiting")
    assert refused.headers["retry-after"] == str(problem["retry_after_s"]) == "400"
    assert (problem["predicted_wait_s"], problem["allowed_wait_s"]) == (1_000.0, 600.0)
    assert problem["detail"] == (
        "This job would wait about 17 minutes for those of yours that wait already; "
        "a normal job of the class small is taken in for at most 10 minutes."
    )
    assert "ratelimit" in refused.headers
    assert (await service.acme.get("/v1/jobs")).json()["items"] == []
    assert (await service.other.submit()).status_code == 202
    assert (await service.acme.submit(drill(priority="urgent"))).status_code == 202


async def test_an_overload_refuses_bulk_and_still_takes_in_what_is_urgent(service: Any) -> None:
    await worker(service)
    await waits(service, [uuid4() for _ in range(1_500)], 10.0)
    answers = {
        priority: await service.acme.submit(drill(priority=priority)) for priority in ("bulk", "normal", "urgent")
    }
    assert {priority: answer.status_code for priority, answer in answers.items()} == {
        "bulk": 429,
        "normal": 202,
        "urgent": 202,
    }
    problem = answers["bulk"].json()
    assert (problem["code"], problem["allowed_wait_s"]) == ("overloaded", 300.0)
    assert problem["predicted_wait_s"] == pytest.approx(500.0)
    assert not {"waiting", "max_waiting"} & problem.keys()  # nothing of what others have


async def test_while_nobody_works_everything_is_taken_in(service: Any) -> None:
    await waits(service, [await customer(service, "acme")], 1e9)
    assert (await service.acme.submit()).status_code == 202


async def test_what_was_accepted_before_the_flood_is_answered_as_such(service: Any) -> None:
    first = await service.acme.submit(key="mine")
    await worker(service)
    await waits(service, [await customer(service, "acme")], 1e9, lane=("urgent", "small"))
    again = await service.acme.submit(key="mine")
    assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
    assert again.json()["id"] == first.json()["id"]
    assert (await service.acme.submit(drill(reference="else"), key="mine")).json()["code"] == "idempotency_key_reused"
    assert (await service.acme.submit(key="another")).status_code == 429


async def test_of_a_batch_each_line_is_taken_in_or_refused_by_itself(service: Any) -> None:
    body = lines(drill(idempotency_key="mine"))
    await batch(service.acme, "first", body)
    await worker(service)
    await waits(service, [await customer(service, "acme")], 3_000.0)
    told = await batch(service.acme, "second", lines(drill(), json.loads(body), drill(priority="urgent")))
    assert [line["status"] for line in told] == [429, 202, 202]
    assert (told[0]["problem"]["code"], told[0]["problem"]["retry_after_s"]) == ("too_much_waiting", 401)
    assert [line.get("replayed") for line in told] == [None, True, False]


async def test_many_at_once_are_counted_as_they_come(service: Any) -> None:
    await limited(service, max_waiting=5)
    told = await batch(service.acme, "many", lines(*[drill()] * 8))
    assert [line["status"] for line in told] == [202] * 5 + [429] * 3
    problem = told[-1]["problem"]
    assert (problem["code"], problem["waiting"], problem["max_waiting"]) == ("customer_limit", 5, 5)
    assert problem["detail"] == "5 of your jobs are waiting, and no more than 5 may."
    again = await batch(service.acme, "many", lines(*[drill()] * 8))
    assert [line["status"] for line in again] == [202] * 5 + [429] * 3
    assert (await service.other.submit()).status_code == 202


async def test_a_request_sent_twice_is_counted_once(service: Any) -> None:
    await limited(service, max_waiting=2)
    answers = [await service.acme.submit(key="same") for _ in range(5)]
    assert {answer.status_code for answer in answers} == {202}
    assert [(await service.acme.submit()).status_code for _ in range(2)] == [202, 429]


async def test_a_large_request_is_refused_before_it_is_checked(service: Any) -> None:
    large = {"kind": "unheard of", "payload": {"text": "x" * 400_000}}
    assert (await service.acme.submit(large)).status_code == 422
    await limited(service, max_waiting=1)
    assert (await service.acme.submit()).status_code == 202
    assert (await service.acme.submit(large)).json()["code"] == "customer_limit"


async def test_how_patient_we_are_can_be_changed_while_all_runs(service: Any) -> None:
    await worker(service)
    await waits(service, [await customer(service, "acme")], 3_000.0)
    assert (await service.acme.submit()).status_code == 429
    async with transaction(service.engine) as session:
        await policies.change(session, {"patience": {"normal": 4}}, "ops:me", "month's end")
    await service.app.state.doorkeeper.refresh()
    assert (await service.acme.submit()).status_code == 202


async def test_who_knows_only_old_things_takes_everybody_in(service: Any) -> None:
    await worker(service)
    await waits(service, [await customer(service, "acme")], 3_000.0)
    moment = 1_000.0
    keeper = Doorkeeper(service.engine, lambda: moment)
    job = await one_of(service)
    assert keeper.admit(job) is None
    keeper.settle(job, made=False)
    await keeper.refresh()
    assert keeper.admit(job) is not None
    moment += STALE_S + 1
    assert keeper.admit(job) is None


async def test_what_is_being_stored_while_we_look_is_not_forgotten(service: Any) -> None:
    await limited(service, max_waiting=1)
    keeper = Doorkeeper(service.engine)
    await keeper.refresh()
    stored, gone, third = await one_of(service), await one_of(service), await one_of(service)
    assert keeper.admit(stored) is None
    await keeper.refresh()
    assert keeper.admit(gone) is not None
    keeper.settle(stored, made=False)
    assert keeper.admit(third) is None
    assert keeper.full(third.customer_id) is not None


async def one_of(service: Any) -> NewJob:
    """Give a job as it stands at the door: a small normal one of acme."""
    acme = await customer(service, "acme")
    return NewJob(
        id=uuid4(),
        customer_id=acme,
        key_id=uuid4(),
        kind="drill",
        reference=None,
        priority=Priority.NORMAL,
        size=Size.SMALL,
        predicted_s=1.0,
        estimated_s=1.0,
        order_delay=timedelta(0),
        promise=timedelta(minutes=5),
        deadline=None,
        webhook=None,
        body=b"{}",
        idempotency_key="k",
        body_hash=b"",
    )
