"""What lies on the runways, in which order and for whom: decided by the policy, from the ledger, at once."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from invoicing.customers.service import ensure_customer
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, Interrupted, Priority, Settlement, Size, Succeeded, judge
from invoicing.jobs.model.backlog import Look
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from invoicing.kit.listen import listening
from invoicing.lanes.model import LANES, POLICY, SIZES, Lane, Queue, Scheduler, Waiting
from invoicing.lanes.model.metering import first_s
from invoicing.transport import Ticket, queue_of

from ..book import SOON, Book
from .crew import Crew, until

SERVED = [(lane.name, SIZES.index(lane.size)) for lane in LANES]
NAMES = tuple(lane.name for lane in LANES)

_DISPATCHER = """
import asyncio, sys
from invoicing.kit.db import make_engine
from invoicing.transport import Transport, connect
from workers.dispatcher import Dispatcher

url, redis_url = sys.argv[1:]
asyncio.run(Dispatcher(make_engine(url), url, Transport(connect(redis_url))).run())
"""


async def add_worker(book: Book, slots: int, lanes: Sequence[str] = NAMES) -> UUID:
    """Register a worker that is nothing but a row; its beat lies in the future, so that it stays alive."""
    worker = new_id()
    await book.do(
        """
        INSERT INTO workers (id, host, pid, build, slots, lanes, kinds, beat_at)
        VALUES (:id, 'h', 1, 'b', :slots, :lanes, '{}', now() + interval '1 h')
        """,
        id=worker, slots=slots, lanes=list(lanes),
    )  # fmt: skip
    await book.do(f"SELECT pg_notify('{ledger.BACKLOG}', '')")
    return worker


async def other_customer(book: Book, slug: str) -> Book:
    async with transaction(book.engine) as session:
        return Book(book.engine, (await ensure_customer(session, slug, slug.title())).id)


async def on_the_runway(crew: Crew) -> list[UUID]:
    """List the jobs on all runways in the order in which a worker would take them."""
    scored = [
        pair
        for lane in LANES
        for pair in await crew.transport.redis.zrange(queue_of(lane.name), 0, -1, withscores=True)
    ]
    return [UUID(name.decode().partition(":")[0]) for name, _ in sorted(scored, key=lambda pair: pair[1])]


async def lies_ready(crew: Crew, count: int) -> list[UUID]:
    """Wait until so many jobs lie on the runways."""

    async def there() -> bool:
        return len(await on_the_runway(crew)) >= count

    await until(there)
    return await on_the_runway(crew)


async def take(crew: Crew, worker: UUID, most: int) -> list[Ticket]:
    """Take and claim as a worker does."""
    tickets = await crew.transport.take(SERVED, [most] * 4, most)
    claims = await crew.book.claim(worker, tickets)
    return [(claim.id, claim.attempt) for claim in claims]


async def end(crew: Crew, tickets: Sequence[Ticket]) -> None:
    """Settle as a worker does."""
    ended = [Settlement(job, attempt, judge(Succeeded({}), 0, SOON, 0.0)) for job, attempt in tickets]
    async with crew.engine.connect() as session:
        await ledger.settle(await driver(session), ended)


def waits(look: Look) -> list[Waiting]:
    return [
        Waiting(
            job.job_id, job.attempt, job.customer_id, job.key_id, Lane(job.priority, job.size), job.order_at,
            first_s(job.work_s, job.size, POLICY),
        )
        for job in look.jobs
    ]  # fmt: skip


async def test_the_runway_holds_what_the_policy_would_start_next_in_that_order(crew: Crew, book: Book) -> None:
    other = await other_customer(book, "other")
    for place in range(40):
        whose = book if place % 3 else other
        await whose.submit(priority=["urgent", "normal", "bulk"][place % 3], seconds=[0.05, 0.4, 5.0][place % 7 % 3])
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, dict.fromkeys(await ledger.queues(connection)), 100)
    expected = Scheduler(POLICY)
    for one in waits(look):
        expected.show(Queue(one.customer_id, one.key_id, one.lane), [one])

    await add_worker(book, 4)
    found = await lies_ready(crew, 9)

    room = {Size.SMALL: len(found), Size.MEDIUM: 4, Size.LARGE: 3, Size.HUGE: 3}
    assert found == [one.job_id for one in expected.release(room)]
    rows = {row["id"]: row["released_at"] for row in await book.rows() if row["released_at"]}
    assert sorted(rows, key=lambda job: rows[job]) == found


async def test_a_flood_of_one_customer_does_not_hold_up_another(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 2)
    await book.accept(*(book.request(seconds=0.5) for _ in range(1_500)))
    running = await take(crew, worker, 2)
    await lies_ready(crew, 3)
    other = await other_customer(book, "other")
    job = await other.submit(seconds=0.5)
    before = 0
    while job not in [ticket[0] for ticket in running]:
        await end(crew, running)
        await lies_ready(crew, 2)
        running = await take(crew, worker, 2)
        before += len(running)
    assert before <= 8


async def test_what_nobody_told_of_is_released_all_the_same(crew: Crew, book: Book) -> None:
    await add_worker(book, 2)
    await asyncio.sleep(0.3)
    await book.do(
        """
        INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due)
        VALUES (:id, :customer, 'drill', 'normal', 'small', 0.1, 'queued', now(), now())
        """,
        id=new_id(), customer=book.customer_id,
    )  # fmt: skip
    assert len(await lies_ready(crew, 1)) == 1


async def test_tickets_lost_from_redis_come_back_in_the_order_of_their_release(crew: Crew, book: Book) -> None:
    await book.accept(*(book.request(seconds=0.1) for _ in range(20)))
    await add_worker(book, 4)
    before = await lies_ready(crew, 9)
    await crew.transport.redis.flushall()
    assert await lies_ready(crew, len(before)) == before


async def test_a_retry_is_released_when_it_is_due_and_not_before(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 2)
    job = await book.submit(seconds=0.1)
    await lies_ready(crew, 1)
    ((_, attempt),) = await take(crew, worker, 1)
    await book.do(
        "UPDATE jobs SET state = 'retrying', lease_until = NULL, due_at = now() + interval '0.6 s' WHERE id = :id",
        id=job,
    )
    await book.do(f"SELECT pg_notify('{ledger.BACKLOG}', '-')")
    assert await lies_ready(crew, 1) == [job]
    row = await book.row(job)
    assert row["released_at"] >= row["due_at"]
    assert attempt == 1


async def test_a_customer_has_no_more_jobs_under_way_than_it_may(crew: Crew, book: Book) -> None:
    await book.do("UPDATE customers SET max_running = 2 WHERE id = :id", id=book.customer_id)
    worker = await add_worker(book, 8)
    await asyncio.sleep(0.8)
    await book.accept(*(book.request(seconds=0.1) for _ in range(10)))
    other = await other_customer(book, "other")
    theirs = await other.submit(seconds=0.1)
    assert theirs in await lies_ready(crew, 3)
    running = await take(crew, worker, 9)
    await asyncio.sleep(0.5)
    assert len(running) == 3
    assert await on_the_runway(crew) == []
    await end(crew, running[:1] if running[0][0] != theirs else running[1:2])
    assert len(await lies_ready(crew, 1)) == 1


@asynccontextmanager
async def control(crew: Crew) -> AsyncIterator[list[tuple[float, str]]]:
    """Hear what workers are told, with the time."""
    heard: list[tuple[float, str]] = []
    ready = asyncio.Event()
    told = lambda _channel, text: heard.append((time.monotonic(), text))  # noqa: E731 - a callback of one line
    async with listening(crew.url, [ledger.CONTROL], told, missed=ready.set):
        await ready.wait()
        yield heard


async def test_larger_work_is_asked_to_give_way_after_its_quantum_once_and_not_before(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 1)
    large = await book.submit(seconds=100.0)
    await lies_ready(crew, 1)
    async with control(crew) as heard:
        began = time.monotonic()
        assert [job for job, _ in await take(crew, worker, 1)] == [large]
        await book.submit(seconds=5.0)

        async def asked() -> bool:
            return bool(heard)

        await until(asked)
        await asyncio.sleep(1.0)
    assert [text for _, text in heard] == [f"{large}:yield"]
    assert heard[0][0] - began >= POLICY.quantum_s


async def test_work_that_nobody_waits_behind_goes_on(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 2)
    await book.submit(seconds=100.0)
    await lies_ready(crew, 1)
    async with control(crew) as heard:
        await take(crew, worker, 1)
        await book.submit(seconds=5.0)
        await lies_ready(crew, 1)
        await take(crew, worker, 1)
        await asyncio.sleep(1.5)
    assert heard == []


async def test_work_that_gave_way_waits_behind_its_like_and_says_since_when(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 1)
    job = await book.submit(seconds=100.0)
    await lies_ready(crew, 1)
    (claim,) = await book.claim(worker, await crew.transport.take(SERVED, [1] * 4, 1))
    before = await book.row(job)
    settlement = Settlement(
        job, 1, judge(Interrupted("yield"), 0, SOON, 0.0), POLICY.due_after(Priority.NORMAL, Size.LARGE)
    )
    async with crew.engine.connect() as session:
        await ledger.settle(await driver(session), [settlement])
    row = await book.row(job)
    assert row["parked_at"] is not None
    assert row["order_at"] > before["order_at"]
    assert (await book.events(job))[-1] is Event.PARKED
    assert row["failures"] == claim.failures == 0
    await lies_ready(crew, 1)
    await take(crew, worker, 1)
    assert (await book.row(job))["parked_at"] is None


async def test_what_customers_were_given_outlives_a_dispatcher_that_is_killed(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 1)
    await crew.stop(crew.leader)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _DISPATCHER, crew.url, crew.redis_url)
    for _ in range(2):  # one of them waits: what was given counts while somebody does
        await book.submit(seconds=100.0)
    await lies_ready(crew, 1)
    await take(crew, worker, 1)
    served = "SELECT coalesce(max(served_s), 0) FROM accounts"

    async def kept() -> bool:
        return bool(await book.scalar(served) >= 30)

    await until(kept)
    crew.add_dispatcher()
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await book.submit(seconds=0.1)
    await lies_ready(crew, 1)
    await asyncio.sleep(1.5)
    assert await book.scalar(served) >= 30


@pytest.mark.usefixtures("crew")
async def test_what_waits_is_folded_into_the_tallies(book: Book) -> None:
    await book.accept(*(book.request(seconds=0.1) for _ in range(5)))

    async def folded() -> bool:
        return bool(await book.scalar("SELECT coalesce(sum(waiting), 0) FROM tallies") == 5)

    await until(folded)
    assert await book.scalar("SELECT count(*) FROM tally_changes") == 0


@pytest.mark.parametrize("lane", ["urgent-small", "normal-medium"])
async def test_a_lane_that_nobody_serves_waits_and_the_others_do_not(crew: Crew, book: Book, lane: str) -> None:
    await add_worker(book, 2, [other.name for other in LANES if other.name != lane])
    priority, size = lane.split("-")
    await book.submit(priority=priority, seconds={"small": 0.1, "medium": 5.0}[size])
    served = await book.submit(seconds=0.2)
    assert await lies_ready(crew, 1) == [served]
    await asyncio.sleep(0.3)
    assert await on_the_runway(crew) == [served]


async def test_what_stands_still_on_the_runway_is_decided_anew_where_others_would_go_first(
    crew: Crew, book: Book
) -> None:
    """Jobs that claim to be short were released ahead; those that run turn out long, and another customer comes."""
    worker = await add_worker(book, 1)
    crowd = await book.accept(*(book.request(seconds=60, claimed_seconds=0.05) for _ in range(12)))
    await lies_ready(crew, 3)
    await take(crew, worker, 2)  # all the slots there are
    ahead = await on_the_runway(crew)
    assert ahead
    other = await other_customer(book, "other")
    late = await other.submit(seconds=0.05)

    async def goes_first() -> bool:
        first = "SELECT id FROM jobs WHERE released_at IS NOT NULL ORDER BY released_at LIMIT 1"
        return bool(await book.scalar(first) == late)

    await until(goes_first, 10)
    assert set(await on_the_runway(crew)) <= {late, *crowd}
    taken = await take(crew, worker, 4)  # the tickets of those that were taken back claim nothing
    assert taken[0] == (late, 1)


async def test_what_stands_still_stays_where_nobody_would_go_first(crew: Crew, book: Book) -> None:
    worker = await add_worker(book, 1)
    await book.accept(*(book.request(seconds=60, claimed_seconds=0.05) for _ in range(12)))
    await lies_ready(crew, 3)
    await take(crew, worker, 2)
    await asyncio.sleep(0.1)
    before = await book.row((await on_the_runway(crew))[0])
    await asyncio.sleep(1.0)
    assert (await book.row(before["id"]))["released_at"] == before["released_at"]
