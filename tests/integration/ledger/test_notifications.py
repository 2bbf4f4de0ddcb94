"""Who follows jobs is told with the commit that makes it true: not before, not for nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Failed, Interrupted, JobError, Size, Succeeded
from invoicing.kit.db import transaction
from invoicing.kit.listen import listening

from ..book import Book

Told = asyncio.Queue[tuple[str, str]]


@pytest.fixture
async def told(database_url: str) -> AsyncIterator[Told]:
    told: Told = asyncio.Queue()
    ready = asyncio.Event()
    channels = [ledger.BACKLOG, ledger.JOBS, ledger.CONTROL]
    async with listening(database_url, channels, lambda *said: told.put_nowait(said), missed=ready.set):
        await ready.wait()
        yield told


async def drain(told: Told, book: Book) -> list[tuple[str, str]]:
    """Give what was told until now: notifications keep their order, so a mark sent last is told last."""
    await book.do(f"SELECT pg_notify('{ledger.JOBS}', 'mark')")
    heard = []
    while (said := await asyncio.wait_for(told.get(), 5)) != (ledger.JOBS, "mark"):
        heard.append(said)
    return heard


async def test_the_dispatcher_hears_which_queues_changed_and_how(book: Book, told: Told) -> None:
    request = book.request(seconds=0)
    queue = f"{book.customer_id}:{request.key_id}:normal:small"
    await book.accept(request)
    assert await drain(told, book) == [(ledger.BACKLOG, f"+{queue}")]
    (claim,) = await book.claim(uuid4(), await book.release())
    assert (ledger.BACKLOG, "-") in await drain(told, book)
    await book.settle(claim, Interrupted("drain", Size.LARGE))
    assert (ledger.BACKLOG, queue.replace("small", "large")) in await drain(told, book)
    await book.cancel(request.id)
    assert (ledger.BACKLOG, queue.replace("small", "large")) in await drain(told, book)


async def test_a_retry_that_is_due_later_wakes_nobody_for_its_queue(book: Book, told: Told) -> None:
    claim = await book.start(uuid4())
    await drain(told, book)
    await book.settle(claim, Failed(JobError("busy", "Busy."), retry_after=timedelta(hours=1)))
    assert (ledger.BACKLOG, "-") in await drain(told, book)


async def test_queues_too_many_to_name_are_told_as_everywhere(book: Book, told: Told) -> None:
    await book.accept(*(book.request(seconds=0) for _ in range(250)))
    assert await drain(told, book) == [(ledger.BACKLOG, "")]


async def test_nobody_hears_of_what_was_rolled_back_or_not_yet_committed(book: Book, told: Told) -> None:
    job_id = await book.submit()
    await drain(told, book)
    async with book.engine.connect() as session:
        await ledger.cancel(session, book.customer_id, job_id)
        assert await drain(told, book) == []
        await session.rollback()
    assert await drain(told, book) == []
    async with transaction(book.engine) as session:
        await ledger.cancel(session, book.customer_id, job_id)
    assert (ledger.JOBS, str(job_id)) in await drain(told, book)


async def test_followers_and_dispatcher_hear_of_start_and_end_and_a_late_end_tells_nobody(
    book: Book, told: Told
) -> None:
    claim = await book.start(uuid4())
    assert (ledger.JOBS, str(claim.id)) in await drain(told, book)
    await book.settle(claim, Succeeded({}))
    assert set(await drain(told, book)) == {(ledger.JOBS, str(claim.id)), (ledger.BACKLOG, "-")}
    await book.settle(claim, Succeeded({}))
    assert await drain(told, book) == []


async def test_the_worker_hears_that_its_job_is_cancelled(book: Book, told: Told) -> None:
    claim = await book.start(uuid4())
    await drain(told, book)
    await book.cancel(claim.id)
    assert (ledger.CONTROL, f"{claim.id}:cancel") in await drain(told, book)


async def test_jobs_too_many_to_name_are_told_as_all(book: Book, told: Told) -> None:
    await book.accept(*(book.request(seconds=0) for _ in range(250)))
    tickets = await book.release(250)
    await drain(told, book)
    await book.claim(uuid4(), tickets)
    assert (ledger.JOBS, "*") in await drain(told, book)
