"""Reading a job: cheap when nothing changed, waiting when asked to, woken by the change itself."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text

from invoicing.kit.http.languages import Spoken


async def test_a_known_revision_gives_304_and_costs_nothing(service: Any) -> None:
    job = await service.acme.job()
    path = f"/v1/jobs/{job['id']}"
    left = []
    for header in ('"1"', '"0", W/"1"', "*"):
        answer = await service.acme.get(path, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
        assert int(answer.headers["retry-after"]) >= 1
        left.append(answer.headers["ratelimit"])
    assert len(set(left)) == 1
    assert (await service.acme.get(path, headers={"If-None-Match": '"0"'})).status_code == 200


async def test_a_finished_job_needs_no_retry_and_has_its_promise_kept(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.finish(job["id"])
    answer = await service.acme.get(f"/v1/jobs/{job['id']}")
    assert "retry-after" not in answer.headers
    body = answer.json()
    assert (body["state"], body["promise"]["status"], body["cause"]) == ("succeeded", "kept", None)
    assert body["result"] == {"fine": True}


async def test_a_dead_job_says_what_to_correct_and_admits_its_broken_promise(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.fail(job["id"])
    body = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()
    assert (body["state"], body["promise"]["status"]) == ("dead", "missed")
    assert body["error"]["field"] == "/payload/seconds"


async def test_a_promise_that_passed_is_missed(service: Any) -> None:
    job = await service.acme.job()
    async with service.engine.begin() as session:
        await session.execute(text("UPDATE jobs SET promise_due = now() - interval '1 second'"))
    assert (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["promise"]["status"] == "missed"


async def test_waiting_answers_as_soon_as_the_job_changes(service: Any) -> None:
    job = await service.acme.job()
    began = time.monotonic()
    waiting = asyncio.create_task(
        service.acme.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=20", "If-None-Match": '"1"'})
    )
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await service.hand.start(job["id"])
    answer = await waiting
    assert (answer.status_code, answer.json()["state"]) == (200, "running")
    assert answer.headers["preference-applied"] == "wait=20"
    assert time.monotonic() - began < 10
    assert len(service.app.state.followers) == 0


async def test_waiting_without_a_known_revision_waits_for_the_next_change(service: Any) -> None:
    job = await service.acme.job()
    waiting = asyncio.create_task(service.acme.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=20"}))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await service.hand.finish(job["id"])
    assert (await waiting).json()["state"] in {"running", "succeeded"}


async def test_waiting_ends_with_304_when_nothing_changed(service: Any) -> None:
    job = await service.acme.job()
    answer = await service.acme.get(
        f"/v1/jobs/{job['id']}", headers={"Prefer": "respond-async, wait=1", "If-None-Match": '"1"'}
    )
    assert answer.status_code == 304


async def test_waiting_for_a_finished_job_answers_at_once(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.finish(job["id"])
    async with asyncio.timeout(30):
        answer = await service.acme.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"})
    assert answer.json()["state"] == "succeeded"


async def test_a_thousand_followers_cost_no_query_until_their_job_changes_and_one_then(service: Any) -> None:
    followed, busy = await service.acme.job(), await service.acme.job()
    reader = next(
        route for route in service.app.routes if route.name == "get" and route.path.endswith("name}")
    ).endpoint
    followers, ask = service.app.state.followers, reader.__self__._until_changed
    async with service.engine.connect() as session:
        tenant = (await session.execute(text("SELECT id FROM customers WHERE slug = 'acme'"))).scalar_one()
    asked: list[str] = []
    engine = reader.__self__.desk.engine.sync_engine
    event.listen(
        engine, "before_cursor_execute", lambda *call: asked.append(call[2]) if "jobs.revision" in call[2] else None
    )
    patience, spoken = timedelta(seconds=30), Spoken("en", usual=True)
    waiting = [asyncio.create_task(ask(tenant, UUID(followed["id"]), '"1"', patience, spoken)) for _ in range(1000)]
    while len(followers) < 1000 or not asked:  # noqa: ASYNC110 - whoever comes looks before it waits
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    asked.clear()
    await service.hand.start(busy["id"])
    await service.hand.progress(busy["id"], 1, 2)
    await asyncio.sleep(0.5)
    assert asked == []
    await service.hand.start(followed["id"])
    await asyncio.gather(*waiting)
    assert len(asked) == 1
    assert len(followers) == 0


async def test_a_stopping_process_lets_go_of_those_who_wait(service: Any) -> None:
    job = await service.acme.job()
    waiting = asyncio.create_task(service.acme.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=60"}))
    await asyncio.sleep(0.3)
    service.server.should_exit = True
    async with asyncio.timeout(30):
        assert (await waiting).json()["id"] == job["id"]


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_cancelling_works_and_again_changes_nothing(service: Any, state: str) -> None:
    job = await service.acme.job()
    if state == "running":
        await service.hand.start(job["id"])
    first = await service.acme.post(f"/v1/jobs/{job['id']}:cancel")
    again = await service.acme.post(f"/v1/jobs/{job['id']}:cancel")
    assert first.status_code == again.status_code == 200
    assert first.headers["etag"] == again.headers["etag"]
    assert first.json()["state"] == ("cancelled" if state == "queued" else "running")


async def test_a_finished_job_cannot_be_cancelled_and_says_its_state(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.finish(job["id"])
    answer = await service.acme.post(f"/v1/jobs/{job['id']}:cancel")
    assert answer.status_code == 409
    assert "succeeded" in answer.json()["detail"]


@pytest.mark.parametrize("job_id", ["0199a3c2-0000-7000-8000-000000000000", "nope", "0", "%00", "{}"])
async def test_an_unknown_job_is_not_found(acme: Any, job_id: str) -> None:
    assert (await acme.get(f"/v1/jobs/{job_id}")).status_code == 404
