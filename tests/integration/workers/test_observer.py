"""The observer goes on by itself: what holds lanes is kept, ended jobs are added up, and a stop ends it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from invoicing.jobs.model import Succeeded
from invoicing.kit.db import make_engine
from invoicing.kit.ids import new_id
from workers.observer import Observer

from ..book import Book
from .crew import until


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


async def test_it_looks_adds_up_and_ends_when_it_is_told_to(book: Book) -> None:
    claim = await book.start(new_id())
    assert await book.settle(claim, Succeeded({}))
    await book.do(
        "UPDATE jobs SET finished_at = finished_at - interval '1 min', submitted_at = now() - interval '2 min'"
    )
    await book.do("UPDATE places SET at = now() - interval '1 h' WHERE name = 'waits'")
    observer = Observer(book.engine, every_s=0.05)
    running = asyncio.create_task(observer.run())

    async def kept() -> bool:
        looked = await book.scalar("SELECT count(*) > 0 FROM conditions WHERE cause = 'no_worker' AND until IS NULL")
        return bool(looked) and await book.scalar("SELECT count(*) FROM waits") > 0

    await until(kept, 20)
    observer.stop()
    await asyncio.wait_for(running, 30)


async def test_a_round_that_fails_is_not_the_last(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    observer = Observer(book.engine, every_s=0.02)
    looks, look = 0, observer.look

    async def fails_first() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("broken")
        await look()

    monkeypatch.setattr(observer, "look", fails_first)
    running = asyncio.create_task(observer.run())

    async def kept() -> bool:
        return bool(await book.scalar("SELECT count(*) FROM conditions"))

    await until(kept, 20)
    observer.stop()
    await running
    assert [record.action for record in caplog.records if hasattr(record, "action")] == ["waits.failed"]
