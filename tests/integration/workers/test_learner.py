"""The learner goes on by itself: what finishes is learned soon, and a round that fails is not the last."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from invoicing.jobs.model import Succeeded
from invoicing.kit.db import make_engine
from invoicing.kit.ids import new_id
from invoicing.lanes.learning import Lesson
from workers.learner import Learner

from ..book import Book
from .crew import until


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


@pytest.fixture
async def learner(book: Book) -> AsyncIterator[Learner]:
    learner = Learner(book.engine, every_s=0.1)
    yield learner
    learner.stop()


async def finish(book: Book) -> None:
    claim = await book.start(new_id(), claimed_seconds=0.3)
    assert await book.settle(claim, Succeeded({}))


async def learned(book: Book) -> int:
    return int(await book.scalar("SELECT coalesce(max((learned->>'jobs')::int), 0) FROM size_models"))


async def test_what_finishes_is_learned_within_seconds_and_a_stop_ends_it(book: Book, learner: Learner) -> None:
    running = asyncio.create_task(learner.run())
    for count in (1, 2):
        await finish(book)

        async def known(count: int = count) -> bool:
            return await learned(book) == count

        await until(known, 10)
    learner.stop()
    await asyncio.wait_for(running, 30)


async def test_a_round_that_fails_is_not_the_last(
    book: Book, learner: Learner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rounds = 0

    async def fails() -> Lesson:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            monkeypatch.undo()
        raise ConnectionError("away") if rounds == 1 else ValueError("a mistake")

    monkeypatch.setattr(learner, "round", fails)
    await finish(book)
    running = asyncio.create_task(learner.run())

    async def known() -> bool:
        return await learned(book) == 1

    await until(known, 10)
    learner.stop()
    await running
    actions = [getattr(record, "action", "") for record in caplog.records]
    assert actions.count("learning.failed") == 3


async def test_a_backlog_of_finished_jobs_is_read_without_pauses(
    book: Book, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("invoicing.lanes.learning.MOST_AT_ONCE", 2)
    learner._every_s = 3600.0
    for _ in range(5):
        await finish(book)
    await book.do("UPDATE jobs SET finished_at = finished_at - interval '5 s'")
    running = asyncio.create_task(learner.run())

    async def known() -> bool:
        return await learned(book) == 5

    await until(known, 10)
    learner.stop()
    await asyncio.wait_for(running, 30)
