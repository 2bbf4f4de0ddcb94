"""Following a job: nothing missed, nothing told twice, and nothing left behind by those who went away."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

STREAM = {"Accept": "text/event-stream"}


async def events(client: Any, job_id: str, **headers: str) -> AsyncIterator[dict[str, Any]]:
    async with client.stream("GET", f"/v1/jobs/{job_id}/events", headers={**STREAM, **headers}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        async for line in answer.aiter_lines():
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                yield {"id": fields["id"], "event": fields["event"], **json.loads(fields["data"])}
                fields = {}


async def test_the_page_tells_the_whole_timeline(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    for done in range(5):
        await service.hand.progress(job["id"], done, 5)
    await service.hand.end(job["id"])
    path = f"/v1/jobs/{job['id']}/events"
    whole = (await service.acme.get(path)).json()["items"]
    assert [entry["event"] for entry in whole] == ["accepted", "started", *["progressed"] * 5, "succeeded"]
    assert [entry["seq"] for entry in whole] == list(range(1, 9))
    assert (await service.acme.get(f"{path}?after=7")).json()["items"] == whole[7:]
    found, token = [], ""
    while token is not None:
        params = {"page_size": 3, "after": 1} | ({"page_token": token} if token else {})
        page = (await service.acme.get(path, params=params)).json()
        found += page["items"]
        token = page["next_page_token"]
    assert found == whole[1:]


async def test_a_stream_tells_everything_once_in_order_and_ends(service: Any) -> None:
    job = await service.acme.job()

    async def work() -> None:
        await service.hand.start(job["id"])
        for done in range(100):
            await service.hand.progress(job["id"], done, 100)
        await service.hand.end(job["id"])

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(_all(service.acme, job["id"])) for _ in range(5)]
        tasks.create_task(work())
    for reader in readers:
        told = reader.result()
        assert [event["seq"] for event in told] == list(range(1, 104))
        assert told[-1]["event"] == "succeeded"
        assert [event["id"] for event in told] == [str(event["seq"]) for event in told]


async def _all(client: Any, job_id: str, **headers: str) -> list[dict[str, Any]]:
    return [event async for event in events(client, job_id, **headers)]


async def test_a_reader_that_comes_back_goes_on_where_it_was(service: Any) -> None:
    job = await service.acme.job()
    async for event in events(service.acme, job["id"]):
        assert event["event"] == "accepted"
        break
    await service.hand.finish(job["id"])
    told = await _all(service.acme, job["id"], **{"Last-Event-ID": "1"})
    assert [event["event"] for event in told] == ["started", "succeeded"]
    over = await service.acme.get(f"/v1/jobs/{job['id']}/events", headers={**STREAM, "Last-Event-ID": "3"})
    assert over.status_code == 204


async def test_readers_that_go_away_leave_nothing_behind(service: Any) -> None:
    job = await service.acme.job()
    for _ in range(10):
        async for _event in events(service.acme, job["id"]):
            assert len(service.app.state.followers) > 0
            break
    async with asyncio.timeout(30):
        while len(service.app.state.followers):  # noqa: ASYNC110 - the server gives no sign of it
            await asyncio.sleep(0.05)


async def test_streams_end_when_the_process_stops(service: Any) -> None:
    job = await service.acme.job()
    reading = asyncio.create_task(_all(service.acme, job["id"]))
    await asyncio.sleep(0.5)
    service.server.should_exit = True
    async with asyncio.timeout(30):
        assert [event["event"] for event in await reading] == ["accepted"]


async def test_notifications_lost_with_their_connection_are_made_up_for(service: Any) -> None:
    job = await service.acme.job()
    reading = asyncio.create_task(_all(service.acme, job["id"]))
    await asyncio.sleep(0.3)
    async with service.engine.begin() as session:
        await session.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'invoicing-listen'"
            " AND datname = current_database()"
        )
    await service.hand.finish(job["id"])
    async with asyncio.timeout(20):
        assert [event["event"] for event in await reading] == ["accepted", "started", "succeeded"]


async def test_a_wrong_last_event_id_is_refused(acme: Any) -> None:
    job = await acme.job()
    answer = await acme.get(f"/v1/jobs/{job['id']}/events", headers={**STREAM, "Last-Event-ID": "-x"})
    assert (answer.status_code, answer.json()["field"]) == (400, "/headers/Last-Event-ID")
