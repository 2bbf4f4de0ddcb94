"""A job that is paused leaves the runway and is claimed by nobody; others go on, and so does it when it may."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Priority, Size
from invoicing.kit.clock import now
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from workers.usher import Usher

from ..book import Book
from .crew import Crew, until
from .test_dispatching import add_worker, lies_ready

SIGNED = ledger.Signed("support", "support:erika", "A test.")
NORMAL_SMALL = (Priority.NORMAL, Size.SMALL)


async def pause(book: Book, job_id: UUID) -> bool:
    async with transaction(book.engine) as session:
        job = await ledger.found(session, job_id)
        assert job is not None
        return await ledger.pause_job(session, job, SIGNED, now() + timedelta(hours=1), None)


async def released(book: Book) -> set[UUID]:
    return {row["id"] for row in await book.rows() if row["released_at"] is not None}


async def are_released(book: Book, *ids: UUID) -> None:
    """Wait until just these lie ready."""

    async def there() -> bool:
        return await released(book) == set(ids)

    await until(there)


async def test_a_job_on_the_runway_is_withdrawn_and_goes_on_when_its_time_is_over(crew: Crew, book: Book) -> None:
    await add_worker(book, 8)
    paused, other = [await book.submit(seconds=0.5) for _ in range(2)]
    await lies_ready(crew, 2)
    assert await pause(book, paused)
    assert await book.claim(new_id(), [(paused, 1)]) == [], "its old ticket claims nothing"
    later = await book.submit(seconds=0.5)
    await are_released(book, other, later)

    await book.do("UPDATE holds SET due = now()")
    assert await Usher(book.engine).round() == 1
    await are_released(book, paused, other, later)
    (claim,) = await book.claim(new_id(), [(paused, 1)])
    assert claim.id == paused


async def test_a_pause_waits_for_a_release_under_way_and_takes_it_back(crew: Crew, book: Book) -> None:
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        job = await book.submit(seconds=0)
        async with connection.transaction():
            assert await ledger.release(connection, [(job, 1, NORMAL_SMALL)], look.withdrawals)
            pausing: Awaitable[bool] = asyncio.ensure_future(pause(book, job))
            await locks_are_waited_for(book)
    assert await pausing
    assert (await book.row(job))["released_at"] is None


async def test_what_was_chosen_before_a_pause_is_not_released_after_it(crew: Crew, book: Book) -> None:
    job = await book.submit(seconds=0)
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        await pause(book, job)
        assert not await ledger.release(connection, [(job, 1, NORMAL_SMALL)], look.withdrawals)


async def test_a_pause_that_is_made_longer_this_moment_does_not_end(book: Book) -> None:
    job_id = await book.submit(seconds=0)
    assert await pause(book, job_id)
    await book.do("UPDATE holds SET due = now()")
    usher = Usher(book.engine)
    async with transaction(book.engine) as session:
        job = await ledger.found(session, job_id)
        assert job is not None
        assert await ledger.pause_job(session, job, SIGNED, now() + timedelta(hours=2), None)
        assert await usher.round() == 0
    assert await usher.round() == 0
    assert (await book.row(job_id))["held"]


async def locks_are_waited_for(book: Book) -> None:
    """Wait until some transaction waits for another."""

    async def waits() -> bool:
        return bool(await book.scalar("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    await until(waits)
