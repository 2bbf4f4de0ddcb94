"""What our staff decide is what the dispatcher does next: no restart, no waiting for a round."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Settlement, Size, Succeeded, judge
from invoicing.jobs.model.outcomes import RetryPolicy
from invoicing.kit.db import driver, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import BY_NAME, POLICY, quotas
from invoicing.transport import Transport, connect
from workers.dispatcher import Dispatcher

from ..workers.crew import until

SLOTS = 1
MOST_AT_ONCE = quotas(SLOTS)[Size.SMALL] + 1
"""What one worker may have running and on the runway, of jobs of a second: its slots and one more."""


@asynccontextmanager
async def dispatching(service: Any, redis_url: str) -> AsyncIterator[Transport]:
    """Let a dispatcher lead, for one worker that is a row."""
    url = service.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    transport = Transport(connect(redis_url))
    async with transaction(service.engine) as session:
        await lanes.register(session, service.hand.worker, "host", 1, "0.1", SLOTS, list(BY_NAME), ["drill"])
        await session.execute(text("UPDATE workers SET beat_at = now() + interval '1 h'"))
    dispatcher = Dispatcher(service.engine, url, transport)
    running = asyncio.create_task(dispatcher.run())
    try:
        yield transport
    finally:
        dispatcher.stop()
        await running
        await transport.close()


async def released(service: Any) -> list[UUID]:
    async with service.engine.connect() as session:
        rows = await session.execute(
            text(
                "SELECT id FROM jobs WHERE released_at IS NOT NULL AND state = 'queued' ORDER BY released_at, order_at"
            )
        )
        return list(rows.scalars())


async def at_least(service: Any, count: int) -> list[UUID]:
    """Wait until so many jobs are on the runway."""

    async def there() -> bool:
        return len(await released(service)) >= count

    await until(there)
    return await released(service)


async def until_released(service: Any, job: str) -> None:
    async def there() -> bool:
        return UUID(job) in await released(service)

    await until(there)


async def end_one(service: Any) -> UUID:
    """Claim the first job of the runway, and end it."""
    ready = await at_least(service, 1)
    async with service.engine.connect() as session:
        connection = await driver(session)
        await ledger.claim(connection, service.hand.worker, [(ready[0], 1)], timedelta(minutes=5))
        verdict = judge(Succeeded({}), 0, RetryPolicy(), 0.0)
        await ledger.settle(connection, [Settlement(ready[0], 1, verdict)])
    return ready[0]


async def act(service: Any, job: str, verb: str, **body: Any) -> None:
    answer = await service.support.post(f"/v1/support/jobs/{job}:{verb}", json={"reason": "At once.", **body})
    assert answer.json()["changed"] is True, answer.text


async def test_an_expedited_job_is_the_next_that_is_released(service: Any, redis_url: str) -> None:
    jobs = [await service.acme.job() for _ in range(30)]
    async with dispatching(service, redis_url):
        await until_released(service, jobs[0]["id"])
        ahead = await released(service)
        assert len(ahead) <= MOST_AT_ONCE
        await act(service, jobs[-1]["id"], "expedite")
        ended = [await end_one(service) for _ in range(len(ahead) + 2)]
    assert UUID(jobs[-1]["id"]) in ended


async def test_a_job_that_is_moved_to_urgent_goes_before_those_that_are_not(service: Any, redis_url: str) -> None:
    jobs = [await service.acme.job() for _ in range(30)]
    async with dispatching(service, redis_url):
        await until_released(service, jobs[0]["id"])
        ahead = await released(service)
        await act(service, jobs[-1]["id"], "move", priority="urgent")
        ended = [await end_one(service) for _ in range(len(ahead) + 2)]
    assert UUID(jobs[-1]["id"]) in ended


async def test_a_dead_job_that_is_retried_is_released_at_once(service: Any, redis_url: str) -> None:
    job = await service.acme.job()
    await service.hand.fail(job["id"])
    async with dispatching(service, redis_url):
        await asyncio.sleep(0.3)
        await act(service, job["id"], "retry")
        await until_released(service, job["id"])


async def test_more_slots_are_used_as_soon_as_they_are_set(service: Any, redis_url: str) -> None:
    for _ in range(30):
        await service.acme.job()
    async with dispatching(service, redis_url):
        few = len(await at_least(service, 1))
        body = {"changes": {"spare": POLICY.spare + 5}, "reason": "A test."}
        assert (await service.ops.patch("/v1/scheduling", json=body)).status_code == 200
        await at_least(service, few + 5)


@pytest.mark.parametrize("verb", ["expedite", "move"])
async def test_the_position_that_was_promised_is_the_one_that_is_kept(service: Any, redis_url: str, verb: str) -> None:
    jobs = [await service.acme.job() for _ in range(12)]
    body = {"priority": "urgent"} if verb == "move" else {}
    answer = await service.support.post(
        f"/v1/support/jobs/{jobs[-1]['id']}:{verb}",
        json={"reason": "Please.", **body},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert answer.json()["after"]["position"] == {"ahead": 0}
    async with dispatching(service, redis_url):
        assert await end_one(service) == UUID(jobs[-1]["id"])
