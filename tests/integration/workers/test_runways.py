"""Runways stay short, in order and rebuildable; a lane can be paused; one dispatcher leads."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from arq.constants import default_queue_name, job_key_prefix, result_key_prefix
from arq.worker import Worker, func

import invoicing
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Priority, Size
from invoicing.kit.clock import now
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES, POLICY, SIZES
from invoicing.transport import PERFORM, Transport, as_json, connect, from_json, queue_of, ticket_text

from ..book import Book
from . import station
from .crew import Crew, until

LANE = "normal-small"


async def waiting_in_redis(transport: Transport) -> int:
    """Count the tickets on all runways."""
    return sum([await transport.redis.zcard(queue_of(lane.name)) for lane in LANES])


async def test_runways_stay_short_however_much_waits(crew: Crew, book: Book) -> None:
    slots = 2
    await book.accept(*(book.request(seconds=0.02) for _ in range(1000)))
    await crew.worker(slots)
    longest = 0
    for _ in range(60):
        async with crew.engine.connect() as session:
            released = sum((await ledger.runways(session)).values())
        longest = max(longest, released, await waiting_in_redis(crew.transport))
        await asyncio.sleep(0.02)

    assert 0 < longest <= slots + POLICY.spare + slots * POLICY.runway_s / 0.02
    assert await book.scalar("SELECT count(*) FROM jobs WHERE state = 'succeeded'") > 0


async def test_nothing_is_released_to_a_lane_that_nobody_serves(crew: Crew, book: Book) -> None:
    await book.submit(seconds=0)
    await asyncio.sleep(0.3)
    assert await waiting_in_redis(crew.transport) == 0


async def test_a_paused_lane_starts_nothing_more_and_goes_on_when_it_is_resumed(crew: Crew, book: Book) -> None:
    jobs = await book.accept(*(book.request(seconds=0.1) for _ in range(30)))
    await crew.worker()
    await crew.ended(jobs[0])

    async with transaction(crew.engine) as session:
        await lanes.pause_lane(session, LANE, now() + timedelta(hours=1), "drill", "ops:test")
    started = "SELECT count(*) FROM jobs WHERE started_at IS NOT NULL"
    at_pause = await book.scalar(started)
    await asyncio.sleep(0.6)

    assert await book.scalar(started) == at_pause < 30
    assert await book.scalar("SELECT count(*) FROM jobs WHERE released_at IS NOT NULL") == 0
    async with transaction(crew.engine) as session:
        assert await lanes.resume_lane(session, LANE)
    rows = await crew.ended(*jobs)
    assert {row["attempt"] for row in rows} == {1}


async def test_a_pause_waits_for_a_round_under_way_and_takes_back_what_it_released(crew: Crew, book: Book) -> None:
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        job = await book.submit(seconds=0)
        async with connection.transaction():
            assert await ledger.release(connection, [(job, 1, (Priority.NORMAL, Size.SMALL))], look.withdrawals)
            pausing = asyncio.create_task(_pause(crew))
            await asyncio.sleep(0.1)
            assert not pausing.done()
    await pausing
    assert (await book.row(job))["released_at"] is None
    assert (await book.row(job))["state"] == "queued"


@pytest.mark.parametrize("change", ["pause", "pause_and_resume"])
async def test_what_was_chosen_before_a_pause_is_not_released_after_it(crew: Crew, book: Book, change: str) -> None:
    job = await book.submit(seconds=0)
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        await _pause(crew)
        if change == "pause_and_resume":
            async with transaction(crew.engine) as other:
                await lanes.resume_lane(other, LANE)
        assert not await ledger.release(connection, [(job, 1, (Priority.NORMAL, Size.SMALL))], look.withdrawals)
    assert (await book.row(job))["released_at"] is None


async def _pause(crew: Crew) -> None:
    async with transaction(crew.engine) as session:
        await lanes.pause_lane(session, LANE, now() + timedelta(hours=1), "drill", "ops:test")


async def test_one_dispatcher_leads_and_another_takes_over_when_it_ends(crew: Crew, book: Book) -> None:
    await crew.worker()
    leaders = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = :key"
    key = await book.scalar("SELECT hashtext('invoicing.dispatcher')::bigint & 4294967295")
    other = crew.add_dispatcher()
    await asyncio.sleep(0.2)
    assert await book.scalar(leaders, key=key) == 1

    await crew.stop(crew.leader)

    await crew.ended(await book.submit(seconds=0), within=30)
    assert await book.scalar(leaders, key=key) == 1
    assert other is not crew.leader


async def test_a_dispatcher_that_loses_its_connection_loses_the_lead_and_gets_it_again(crew: Crew, book: Book) -> None:
    await crew.worker()
    await crew.ended(await book.submit(seconds=0))
    await book.do(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    )
    await crew.ended(await book.submit(seconds=0), within=30)


@pytest.fixture
async def transport(redis_url: str) -> Transport:
    return Transport(connect(redis_url))


async def test_tickets_are_taken_in_the_order_of_their_release_over_all_lanes(transport: Transport) -> None:
    one, two, three, four = [(new_id(), 1) for _ in range(4)]
    placed = [(LANE, one, 1.000003), ("normal-large", two, 1.000001), (LANE, three, 1.000002), (LANE, four, 1.5)]
    await transport.put(placed)
    await transport.put([(lane, ticket, at - 0.5) for lane, ticket, at in placed])
    served = [(lane.name, SIZES.index(lane.size)) for lane in LANES]

    assert await transport.take(served, [9, 0, 0, 0], 1) == [three]
    assert await transport.take(served, [9, 9, 9, 9], 2) == [two, one]
    assert await transport.take(served, [9, 9, 9, 9], 9) == [four]
    assert await transport.redis.keys("*") == []
    await transport.close()


async def test_a_stranger_in_a_queue_stops_nobody(transport: Transport) -> None:
    ticket = (new_id(), 1)
    await transport.put([(LANE, ticket, 1.0)])
    await transport.redis.zadd(queue_of(LANE), {"stranger": 0, "other:1": 1})
    assert await transport.present(LANE) == {ticket}
    assert await transport.take([(LANE, 0)], [9], 9) == [ticket]
    await transport.close()


async def test_all_that_redis_holds_of_a_job_is_a_ticket_in_json(transport: Transport) -> None:
    ticket = (new_id(), 3)
    await transport.put([(LANE, ticket, 1.0)])
    name = ticket_text(ticket)
    body = json.loads(await transport.redis.get(job_key_prefix + name))
    assert (body["f"], body["a"], body["k"]) == (PERFORM, [str(ticket[0]), 3], {})
    assert set(await transport.redis.keys("*")) == {(job_key_prefix + name).encode(), queue_of(LANE).encode()}
    assert 0 < await transport.redis.ttl(job_key_prefix + name) <= 86_400
    await transport.close()


def test_nothing_of_ours_unpickles() -> None:
    source = Path(invoicing.__file__).parents[1]
    users = [
        path
        for path in source.rglob("*.py")
        if re.search(r"^\s*(import|from) (pickle|marshal|shelve)", path.read_text(), re.MULTILINE)
    ]
    assert users == []


async def test_arqs_own_worker_drains_a_lane_that_we_filled(crew: Crew, book: Book) -> None:
    """What is in Redis is what arq expects, and our one function does the rest: claims, performs, settles."""
    jobs = [await book.submit(seconds=0) for _ in range(5)]
    nursery = station.nursery(crew.url, 2)
    await nursery.start()
    ours = station.station(crew.engine, crew.url, crew.transport, nursery, 2)
    ours._settler.start()
    await crew.transport.put([(LANE, ticket, place) for place, ticket in enumerate(await book.release(), 1)])
    worker = Worker(
        [func(ours.perform, name=PERFORM, keep_result=0, max_tries=1)],
        queue_name=queue_of(LANE),
        redis_pool=crew.transport.redis,
        burst=True,
        poll_delay=0.01,
        handle_signals=False,
        keep_result=0,
        job_serializer=as_json,
        job_deserializer=from_json,
    )

    await worker.main()

    rows = await crew.ended(*jobs)
    assert {(row["state"], row["attempt"]) for row in rows} == {("succeeded", 1)}
    assert (worker.jobs_complete, worker.jobs_failed, worker.jobs_retried) == (5, 0, 0)
    assert await crew.transport.redis.keys(result_key_prefix + "*") == []
    assert await crew.transport.redis.keys(job_key_prefix + "*") == []
    assert await crew.transport.redis.zcard(default_queue_name) == 0
    await ours._settler.stop()
    await nursery.close()


async def test_a_ticket_lost_from_redis_is_put_there_again_and_one_that_is_there_is_not(crew: Crew, book: Book) -> None:
    await book.do(
        "INSERT INTO workers (id, host, pid, build, slots, lanes, kinds) VALUES (:id, 'h', 1, 'b', 2, :lanes, '{}')",
        id=new_id(), lanes=[LANE],
    )  # fmt: skip
    await book.submit(seconds=0)
    await book.do(f"SELECT pg_notify('{ledger.BACKLOG}', '')")

    async def there() -> bool:
        return bool(await crew.transport.redis.zcard(queue_of(LANE)) == 1)

    await until(there)
    await crew.transport.redis.flushall()
    await until(there)


async def test_a_ticket_that_was_released_anew_has_its_new_place_whatever_is_put_late(transport: Transport) -> None:
    one, two = (new_id(), 1), (new_id(), 1)
    served = [(lane.name, SIZES.index(lane.size)) for lane in LANES]
    await transport.put([(LANE, one, 1.0), (LANE, two, 2.0)])
    await transport.put([(LANE, one, 3.0)])
    await transport.put([(LANE, one, 1.0)])
    assert await transport.take(served, [2] * 4, 2) == [two, one]
    await transport.close()
