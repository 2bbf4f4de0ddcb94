"""Whatever is lost on the way — a worker, Redis, PostgreSQL — every job is done, once, and nobody restarts anything."""

import asyncio
import signal
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import alembic.command
import alembic.config
import psutil
import pytest

from invoicing.jobs.model import Event
from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, hold

from ..book import Book
from .crew import Crew, children_of, until

_ALEMBIC = Path(__file__).parents[3] / "alembic.ini"


async def chunks_done(book: Book, job: UUID) -> list[float]:
    """List the checkpoints of a job."""
    return [entry.data["done"] for entry in await book.timeline(job) if entry.event is Event.PROGRESSED]


async def test_a_worker_told_to_end_hands_its_job_over_at_the_next_checkpoint(crew: Crew, book: Book) -> None:
    first = await crew.process()
    job = await book.submit(seconds=2, chunks=20, claimed_seconds=0.5)
    await crew.progressed(job, 3)

    first.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(first.wait(), 20) == 0
    assert (await book.row(job))["state"] == "queued"
    await crew.worker()
    (row,) = await crew.ended(job)

    assert (row["state"], row["attempt"], row["failures"]) == ("succeeded", 2, 0)
    assert await chunks_done(book, job) == list(range(1, 21))
    assert Event.INTERRUPTED in await book.events(job)
    assert await book.scalar("SELECT count(*) FROM workers WHERE pid = :pid", pid=first.pid) == 0


async def test_a_worker_told_to_end_kills_what_does_not_stop_and_it_does_not_count(crew: Crew, book: Book) -> None:
    first = await crew.process()
    job = await book.submit(seconds=60, mode="hang", claimed_seconds=0.5)
    await crew.running(job)

    first.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(first.wait(), 20) == 0
    row = await book.row(job)
    assert (row["state"], row["failures"]) == ("queued", 0)


async def test_the_job_of_a_killed_worker_is_done_by_another_and_its_children_die_with_it(
    crew: Crew, book: Book
) -> None:
    first = await crew.process()
    job = await book.submit(seconds=2, chunks=20, claimed_seconds=0.5)
    await crew.progressed(job, 3)
    children = children_of(first.pid)
    assert children

    first.kill()
    await first.wait()
    await crew.worker()
    (row,) = await crew.ended(job)

    assert (row["state"], row["attempt"], row["failures"]) == ("succeeded", 2, 0)
    assert await chunks_done(book, job) == list(range(1, 21))
    assert (await book.events(job)).count(Event.RESCUED) == 1
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


async def test_a_worker_that_slept_through_its_lease_gives_up_what_another_has_now(crew: Crew, book: Book) -> None:
    """Its child is awake and goes on: the fence stops it at the first step after the rescue."""
    first = await crew.process()
    job = await book.submit(seconds=5, chunks=50, claimed_seconds=0.5)
    await crew.progressed(job, 1)
    first.send_signal(signal.SIGSTOP)
    second = await crew.worker()

    async def taken() -> bool:
        return bool((await book.row(job))["worker_id"] == second.worker_id)

    await until(taken)
    first.send_signal(signal.SIGCONT)
    (row,) = await crew.ended(job)

    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert await chunks_done(book, job) == list(range(1, 51)), "two attempts wrote at the same time"


async def test_emptying_redis_in_the_middle_loses_no_job_and_does_none_twice(crew: Crew, book: Book) -> None:
    jobs = await book.accept(*(book.request(seconds=0.05) for _ in range(20)))
    await crew.worker()
    for _ in range(2):
        await asyncio.sleep(0.3)
        await crew.transport.redis.flushall()

    rows = await crew.ended(*jobs)

    assert {(row["state"], row["attempt"]) for row in rows} == {("succeeded", 1)}


@pytest.fixture
async def servers(roomy_path: Path) -> AsyncIterator[tuple[EmbeddedPostgres, EmbeddedRedis]]:
    """Start servers of this test's own, to be restarted."""
    with hold(roomy_path / "home") as home:
        postgres, redis = EmbeddedPostgres(home, "invoicing"), EmbeddedRedis(home)
        yield postgres, redis
        postgres.stop()
        redis.stop()


async def test_restarts_of_redis_and_postgresql_are_worked_through(
    servers: tuple[EmbeddedPostgres, EmbeddedRedis],
) -> None:
    """No process is restarted, no attempt counts as failed, and the work goes on where it was."""
    postgres, redis = servers
    url, redis_url = await asyncio.to_thread(postgres.start), await asyncio.to_thread(redis.start)
    config = alembic.config.Config(_ALEMBIC)
    config.attributes["url"] = url
    with ThreadPoolExecutor(1) as thread:
        thread.submit(alembic.command.upgrade, config, "head").result()
    crew = await Crew(url, redis_url).open()
    try:
        book = crew.book
        await crew.worker(slots=2)
        long = await book.submit(seconds=2.5, chunks=25, claimed_seconds=0.5)
        await crew.progressed(long, 2)

        await asyncio.to_thread(redis.stop)
        during = await book.submit(seconds=0.05)
        assert await asyncio.to_thread(redis.start) == redis_url
        await crew.ended(during)
        await asyncio.to_thread(postgres.stop)
        assert await asyncio.to_thread(postgres.start) == url
        after = [await _persistently(book) for _ in range(5)]

        rows = await crew.ended(long, *after)

        assert {(row["state"], row["failures"]) for row in rows} == {("succeeded", 0)}
        assert await chunks_done(book, long) == list(range(1, 26))
    finally:
        await crew.close()


async def _persistently(book: Book) -> UUID:
    """Submit like a customer who was told to come again."""
    for _ in range(100):
        try:
            return await book.submit(seconds=0.05)
        except OSError:
            await asyncio.sleep(0.1)
    raise AssertionError("PostgreSQL did not come back")
