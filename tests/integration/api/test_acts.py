"""Support acts on a job at once: shown before, done exactly once, told to the customer without names, and audited."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from invoicing.jobs.model import Failed, JobError
from invoicing.kit.db import transaction

from .hearing import hearing

NOBODYS = "0199a3c2-0000-7000-8000-000000000000"
WHY = {"reason": "The tax office closes at noon, says Erika."}
ACTS = ("expedite", "move", "retry", "cancel")


async def act(client: Any, job: str, verb: str, body: Any = None, key: str | None = None, **query: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    sent = {**WHY, **({"priority": "urgent"} if verb == "move" else {})} if body is None else body
    return await client.post(f"/v1/support/jobs/{job}:{verb}", json=sent, headers=headers, params=query)


async def one(service: Any, statement: str, **values: Any) -> Any:
    async with service.engine.connect() as session:
        return (await session.execute(text(statement), values)).one()


async def row(service: Any, job: str) -> Any:
    return await one(service, "SELECT * FROM jobs WHERE id = :id", id=job)


async def audited(service: Any, job: str) -> list[tuple[str, str, str]]:
    async with service.engine.connect() as session:
        found = await session.execute(
            text("SELECT act, actor, reason FROM audit_entries WHERE target = :target ORDER BY id"),
            {"target": f"job:{job}"},
        )
        return [tuple(entry) for entry in found]


async def over_served(service: Any) -> dict[str, Any]:
    """Let one customer have had far more than the other, and both wait; gives the last job of the former."""
    jobs: list[dict[str, Any]] = [await service.acme.job() for _ in range(3)]
    await service.other.job()
    async with transaction(service.engine) as session:
        await session.execute(
            text("INSERT INTO accounts SELECT customer_id, sum(500) FROM jobs WHERE id = :id GROUP BY 1"),
            {"id": jobs[0]["id"]},
        )
        await session.execute(
            text("INSERT INTO accounts SELECT id, 0 FROM customers WHERE slug = 'other'"),
        )
    return jobs[-1]


async def test_expediting_moves_a_job_to_the_front_and_says_from_where(service: Any) -> None:
    job = await over_served(service)
    answer = await act(service.support, job["id"], "expedite")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["changed"], told["dry_run"]) == (True, False)
    assert (told["before"]["position"], told["after"]["position"]) == ({"ahead": 3}, {"ahead": 0})
    assert (told["before"]["expedited_at"], told["job"]["customer"]) == (None, "acme")
    assert told["after"]["expedited_at"]
    assert await audited(service, job["id"]) == [("job.expedited", "support:support", WHY["reason"])]


async def test_a_preview_tells_the_same_and_changes_nothing(service: Any) -> None:
    job = await over_served(service)
    before = await row(service, job["id"])
    for verb in ("expedite", "move", "cancel"):
        told = (await act(service.support, job["id"], verb, dry_run="true")).json()
        assert (told["dry_run"], told["changed"]) == (True, True)
    assert await row(service, job["id"]) == before
    assert await audited(service, job["id"]) == []
    assert (await one(service, "SELECT count(*) FROM timeline WHERE job_id = :id", id=job["id"])).count == 1
    preview = (await act(service.support, job["id"], "expedite", dry_run="true")).json()
    done = (await act(service.support, job["id"], "expedite")).json()
    assert (preview["before"]["position"], preview["after"]["position"]) == (
        done["before"]["position"],
        done["after"]["position"],
    )


async def test_the_customer_reads_what_was_done_but_neither_who_nor_why(service: Any) -> None:
    job = await service.acme.job()
    await act(service.support, job["id"], "expedite")
    await act(service.ops, job["id"], "move", {**WHY, "size": "large"})
    events = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).json()["items"]
    assert [(event["event"], event["data"]) for event in events[1:]] == [
        ("expedited", {"by": "support"}),
        ("moved", {"by": "ops", "from": "normal-small", "to": "normal-large"}),
    ]
    kept = await one(service, "SELECT data FROM timeline WHERE job_id = :id AND event = 'expedited'", id=job["id"])
    assert kept.data["staff"] == {"actor": "support:support", "reason": WHY["reason"]}


async def test_a_moved_job_takes_its_place_in_the_other_lane_and_leaves_the_runway(service: Any) -> None:
    job = await service.acme.job()
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE jobs SET released_at = now()"))
    told = (await act(service.ops, job["id"], "move", {**WHY, "priority": "bulk", "size": "medium"})).json()
    assert (told["before"]["lane"], told["after"]["lane"]) == (
        {"priority": "normal", "size": "small"},
        {"priority": "bulk", "size": "medium"},
    )
    found = await row(service, job["id"])
    assert (found.priority, found.size, found.released_at) == ("bulk", "medium", None)
    assert (found.order_at - found.submitted_at).total_seconds() == 1_800
    again = (await act(service.ops, job["id"], "move", {**WHY, "priority": "bulk"})).json()
    assert again["changed"] is False
    assert len(await audited(service, job["id"])) == 1


async def test_a_dead_job_that_is_retried_waits_again_with_all_its_attempts(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.fail(job["id"])
    told = (await act(service.support, job["id"], "retry")).json()
    assert (told["before"]["state"], told["after"]["state"]) == ("dead", "queued")
    found = await row(service, job["id"])
    assert (found.failures, found.finished_at, found.error) == (0, None, None)
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["state"] == "queued"


async def test_a_job_in_back_off_is_due_at_once_when_it_is_retried(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    await service.hand.end(job["id"], Failed(JobError("drill_failed", "No.")))
    assert (await row(service, job["id"])).state == "retrying"
    told = (await act(service.support, job["id"], "retry")).json()
    assert (told["after"]["state"], told["changed"]) == ("queued", True)
    found = await row(service, job["id"])
    assert (found.failures, found.attempt) == (1, 1)
    assert (await one(service, "SELECT due_at <= now() AS due FROM jobs WHERE id = :id", id=job["id"])).due


@pytest.mark.parametrize("verb", ["expedite", "move", "retry"])
async def test_a_running_job_is_left_alone_and_says_so(service: Any, verb: str) -> None:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    answer = await act(service.support, job["id"], verb)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "run" in answer.json()["detail"]
    assert answer.json()["remedy"]


@pytest.mark.parametrize("verb", ACTS)
async def test_a_finished_job_cannot_be_acted_upon(service: Any, verb: str) -> None:
    job = await service.acme.job()
    await service.hand.finish(job["id"])
    assert (await act(service.support, job["id"], verb)).status_code == 409
    assert await audited(service, job["id"]) == []


async def test_support_cancels_for_the_customer(service: Any) -> None:
    waiting, runs = await service.acme.job(), await service.acme.job()
    await service.hand.start(runs["id"])
    assert (await act(service.support, waiting["id"], "cancel")).json()["after"]["state"] == "cancelled"
    assert (await act(service.support, runs["id"], "cancel")).json()["after"]["state"] == "running"
    assert (await row(service, runs["id"])).cancel_requested_at is not None
    assert (await act(service.support, runs["id"], "cancel")).json()["changed"] is False


async def test_doing_it_twice_changes_nothing_more(service: Any) -> None:
    job = await service.acme.job()
    assert (await act(service.support, job["id"], "expedite")).json()["changed"] is True
    assert (await act(service.support, job["id"], "expedite")).json()["changed"] is False
    assert len(await audited(service, job["id"])) == 1


async def test_a_request_that_is_sent_twice_retries_once(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.fail(job["id"])
    key = str(uuid4())
    assert (await act(service.support, job["id"], "retry", key=key)).json()["changed"] is True
    again = await act(service.support, job["id"], "retry", key=key)
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.json()["changed"] is False
    other = await act(service.support, job["id"], "expedite", key=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(await audited(service, job["id"])) == 1


async def test_two_at_the_same_time_expedite_it_once(service: Any) -> None:
    job = await service.acme.job()
    told = await asyncio.gather(*(act(service.support, job["id"], "expedite") for _ in range(5)))
    assert sorted(one.json()["changed"] for one in told) == [False, False, False, False, True]


@pytest.mark.parametrize("verb", ACTS)
async def test_the_dispatcher_is_told_which_queue_to_look_at(service: Any, verb: str) -> None:
    job = await service.acme.job()
    if verb == "retry":
        await service.hand.fail(job["id"])
    async with hearing(service.engine, ["invoicing_backlog"]) as heard:
        assert (await act(service.support, job["id"], verb, dry_run="true")).status_code == 200
        assert (await act(service.support, job["id"], verb)).json()["changed"] is True
    assert len(heard) == 1
    found = await row(service, job["id"])
    assert f"{found.customer_id}:{found.key_id}:normal:small" in heard[0][1]
    assert ("urgent:small" in heard[0][1]) == (verb == "move")


@pytest.mark.parametrize("verb", ACTS)
@pytest.mark.parametrize("job_id", [NOBODYS, "x"])
async def test_an_unknown_job_is_not_found(service: Any, verb: str, job_id: str) -> None:
    assert (await act(service.support, job_id, verb)).status_code == 404


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("expedite", {}, "/reason"),
        ("expedite", {"reason": "  "}, "/reason"),
        ("expedite", {"reason": "x" * 501}, "/reason"),
        ("expedite", {**WHY, "priority": "urgent"}, "/priority"),
        ("move", WHY, ""),
        ("move", {**WHY, "size": "enormous"}, "/size"),
    ],
)
async def test_what_is_wrong_with_a_wish_is_named(service: Any, verb: str, body: Any, field: str) -> None:
    answer = await act(service.support, (await service.acme.job())["id"], verb, body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_flag_that_is_neither_true_nor_false_is_refused(service: Any) -> None:
    answer = await act(service.support, (await service.acme.job())["id"], "expedite", dry_run="perhaps")
    assert (answer.status_code, answer.json()["field"]) == (400, "/query/dry_run")
