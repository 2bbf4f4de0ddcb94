"""By the time that a reader was told there is news: a change, or an update that says why there is none."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.diagnosis import service as diagnosis
from invoicing.jobs.model import NEWS_WITHIN
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id
from workers.keeper import Keeper

from ..workers.crew import until

GERMAN = {"Accept-Language": "de"}


@pytest.fixture
def keeper(service: Any) -> Keeper:
    return Keeper(service.engine, diagnosis.explain)


async def do(service: Any, statement: str, **values: Any) -> Any:
    async with transaction(service.engine) as session:
        found = await session.execute(text(statement), values)
        return found.all() if found.returns_rows else None


async def kept(service: Any) -> None:
    """Have written what readers were told until now."""
    await service.app.state.notebook.keep(service.engine)


async def near(service: Any, seconds: float = 5.0) -> None:
    """Let time pass until what was told is nearly due, or over."""
    await do(service, "UPDATE news_due SET due = now() + CAST(:left AS interval)", left=timedelta(seconds=seconds))


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)


async def read(client: Any, job: dict[str, Any], **more: Any) -> Any:
    return await client.get(f"/v1/jobs/{job['id']}", **more)


async def test_no_news_is_told_by_the_time_that_was_promised_to_all_who_follow(service: Any, keeper: Keeper) -> None:
    job = await service.acme.job()
    before = await read(service.acme, job)
    await kept(service)
    assert await keeper.update() == 0, "it is not due yet"
    await near(service)
    wait = {"If-None-Match": before.headers["etag"], "Prefer": "wait=20"}
    waiting = asyncio.create_task(read(service.acme, job, headers=wait))

    async def followed() -> bool:
        return len(service.app.state.followers) == 1

    await until(followed, 10)
    assert await keeper.update() == 1
    after = await waiting
    assert (before.headers["etag"], after.headers["etag"]) == ('"1"', '"2"')
    first, second = before.json()["cause"], after.json()["cause"]
    assert (first["code"], second["code"]) == ("no_worker", "no_worker")
    assert second["observed_at"] >= first["observed_at"]
    assert moment(second["next_update_by"]) >= moment(second["observed_at"]) + NEWS_WITHIN
    page = await service.acme.get(f"/v1/jobs/{job['id']}/events", headers=GERMAN)
    told = page.json()["items"][-1]
    assert (told["event"], told["seq"], told["state"]) == ("update", 2, "queued")
    assert told["data"]["reason"]["code"] == "no_worker"
    assert told["data"]["reason"].keys() == {"code", "message"}
    assert told["data"]["reason"]["message"].startswith("Für diese Art von Warteschlange")
    assert page.headers["content-language"] == "de"
    assert moment(told["data"]["next_update_by"]) > moment(told["at"])
    await keeper.update()
    shares = (await service.acme.get("/v1/promises")).json()
    assert shares["total"]["updates"] == {"kept": 1, "missed": 0, "share": 1.0}
    assert (shares["total"]["kept"], shares["total"]["share"]) == (0, None)


async def test_what_nobody_read_or_what_changed_costs_no_update(service: Any, keeper: Keeper) -> None:
    unread, changed, over, late = [await service.acme.job() for _ in range(4)]
    for job in (changed, over, late):
        for _ in range(3):
            await read(service.acme, job)
    await kept(service)
    assert await do(service, "SELECT count(*) FROM news_due") == [(3,)]
    await service.hand.start(changed["id"])
    await service.hand.finish(over["id"])
    await near(service)
    await do(service, "UPDATE news_due SET due = now() - interval '1 min' WHERE job_id = :id", id=late["id"])
    assert await keeper.update() == 1
    await keeper.update()
    assert await do(service, "SELECT count(*) FROM news_due") == [(0,)]
    assert await do(service, "SELECT sum(updates_kept)::int, sum(updates_missed)::int FROM promise_tallies") == [(2, 1)]
    events = await do(service, "SELECT job_id::text FROM timeline WHERE event = 'update'")
    assert events == [(late["id"],)]
    assert (await read(service.acme, unread)).headers["etag"] == '"1"'


async def test_a_time_that_was_told_by_anything_that_tells_one_is_kept(service: Any, keeper: Keeper) -> None:
    jobs = [await service.acme.job() for _ in range(3)]
    listed, explained, asked_by_us = jobs
    await service.acme.get("/v1/jobs", params={"page_size": 1, "reference": "none"})
    await service.acme.get(f"/v1/jobs/{explained['id']}/why")
    await service.support.get(f"/v1/jobs/{asked_by_us['id']}/why")
    await kept(service)
    assert await do(service, "SELECT count(*) FROM news_due") == [(2,)]
    await service.acme.get("/v1/jobs")
    await kept(service)
    assert await do(service, "SELECT count(*) FROM news_due") == [(3,)]
    await near(service)
    assert await keeper.update() == 3
    assert listed["cause"]["next_update_by"] is None, "what was accepted this instant promises nothing"
    stream = service.acme.stream("GET", f"/v1/jobs/{listed['id']}/events", headers={"Accept": "text/event-stream"})
    async with stream as events:
        async for line in events.aiter_lines():
            if line == "event: update":
                break
    await kept(service)
    assert await do(service, "SELECT revision FROM news_due WHERE job_id = :id AND revision = 2", id=listed["id"])


async def test_only_who_asked_by_name_is_sent_updates_and_is_then_told_again(service: Any, keeper: Keeper) -> None:
    owner = await do(service, "SELECT id FROM customers WHERE slug = 'acme'")
    for events in (None, ["job.dead"], ["job.update"]):
        await do(
            service,
            "INSERT INTO endpoints (id, customer_id, url, events, secret, idempotency_key, body_hash) "
            "VALUES (:id, :owner, :url, :events, '', :url, '')",
            id=new_id(), owner=owner[0][0], url=f"https://example.com/{events}", events=events,
        )  # fmt: skip
    job = await service.acme.job()
    await read(service.acme, job)
    await kept(service)
    await near(service)
    assert await keeper.update() == 1
    ((url, event, data),) = await do(
        service, "SELECT url, event, body::json -> 'data' FROM messages JOIN endpoints e ON e.id = endpoint_id"
    )
    assert (url, event) == ("https://example.com/['job.update']", "job.update")
    assert data["reason"]["code"] == "no_worker"
    assert data["href"] == f"/v1/jobs/{job['id']}"
    (due,) = await do(service, "SELECT due FROM news_due WHERE job_id = :id AND revision = 2", id=job["id"])
    assert abs(due[0] - moment(data["next_update_by"])) < timedelta(seconds=1)


async def test_of_two_keepers_one_tells(service: Any) -> None:
    jobs = [await service.acme.job() for _ in range(20)]
    await service.acme.get("/v1/jobs")
    await kept(service)
    await near(service)
    keepers = [Keeper(service.engine, diagnosis.explain, page=4) for _ in range(3)]
    await asyncio.gather(*(keeper.update() for keeper in keepers))
    await keepers[0].update()
    told = await do(service, "SELECT job_id::text, count(*) FROM timeline WHERE event = 'update' GROUP BY 1")
    assert sorted(told) == sorted((job["id"], 1) for job in jobs)


async def test_reasons_of_a_promise_are_read_in_the_readers_language(service: Any, keeper: Keeper) -> None:
    new, old = await service.acme.job(), await service.acme.job()
    await do(service, "UPDATE jobs SET submitted_at = now() - interval '1 min', promise_due = now() + interval '5 s'")
    assert await keeper.round() == 2
    await do(service, "UPDATE promise_changes SET wording = NULL, fields = NULL WHERE job_id = :id", id=old["id"])

    async def reason(job: dict[str, Any]) -> str:
        answer = (await read(service.acme, job, headers=GERMAN)).json()
        (told,) = answer["promise"]["history"]
        assert told["reason"].keys() == {"code", "message"}
        return str(told["reason"]["message"])

    assert (await reason(new)).startswith("Für diese Art von Warteschlange")
    assert (await reason(old)).startswith("None of our workers")
