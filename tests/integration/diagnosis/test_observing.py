"""What holds whole lanes is kept when it changes, and no further than somebody watched."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from invoicing.diagnosis import observing, records
from invoicing.diagnosis.model.account import EVERYWHERE, Window, customer_scope
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.facts import SETTLED_FOR
from invoicing.kit.db import make_engine, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES

from ..book import Book

HERE = "normal-small"


class Watch:
    """Looks at the lanes, as far apart as it is told."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.held: Any = {}

    async def look(self, after: float = 1.0) -> None:
        """Look once; the time since the last look, and what was kept by then, is moved back."""
        for table, column in (("places", "at"), ("conditions", "since"), ("conditions", "until")):
            await self.book.do(
                f"UPDATE {table} SET {column} = {column} - CAST(:after AS interval)", after=timedelta(seconds=after)
            )
        self.held = {key: at - timedelta(seconds=after) for key, at in self.held.items()}
        async with transaction(self.book.engine) as session:
            self.held = await observing.observe(session, self.held)

    async def kept(self, cause: Code) -> list[tuple[str, bool]]:
        """List the scopes that a cause held, and whether it still does."""
        rows = "SELECT coalesce(json_agg(json_build_array(scope, until IS NULL) ORDER BY since, scope), '[]')"
        found = await self.book.scalar(f"{rows} FROM conditions WHERE cause = :cause", cause=cause)
        return [(scope, holds) for scope, holds in found]

    async def lasted(self, cause: Code) -> float:
        """Say how long a cause held the lane that tests use, which is over."""
        lasted = (
            "SELECT extract(epoch FROM until - since)::float8 FROM conditions WHERE scope = :scope AND cause = :cause"
        )
        return float(await self.book.scalar(lasted, scope=HERE, cause=cause))


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


@pytest.fixture
async def watch(book: Book) -> Watch:
    await book.do("UPDATE places SET at = now()")  # since when nobody watched: the tables were made long before
    watch = Watch(book)
    await watch.look(0)
    return watch


async def work(book: Book, slots: int = 2, *kinds: str) -> Any:
    """Have a worker of the lane that tests use."""
    worker = uuid4()
    async with transaction(book.engine) as session:
        await lanes.register(session, worker, "host", 1, "0.1", slots, [HERE], kinds or ["drill"])
    return worker


async def test_lanes_without_a_worker_are_kept_once_however_often_somebody_looks(book: Book, watch: Watch) -> None:
    everywhere = sorted((lane.name, True) for lane in LANES)
    assert sorted(await watch.kept(Code.NO_WORKER)) == everywhere
    for _ in range(3):
        await watch.look()
    assert sorted(await watch.kept(Code.NO_WORKER)) == everywhere
    await work(book)
    for _ in range(6):
        await watch.look()
    assert [lane for lane, holds in await watch.kept(Code.NO_WORKER) if not holds] == [HERE]
    assert 3 <= await watch.lasted(Code.NO_WORKER) < 3 + SETTLED_FOR.total_seconds()
    assert await watch.kept(Code.NO_CAPABLE_WORKER) == [(HERE, True)]  # for every kind but what the worker offers
    assert await book.scalar("SELECT spares FROM conditions WHERE cause = 'no_capable_worker'") == ["drill"]


async def test_other_workers_are_another_condition(book: Book, watch: Watch) -> None:
    await work(book)
    await watch.look()
    await work(book, 1, "drill", "invoice.issue")
    await watch.look()
    assert await watch.kept(Code.NO_CAPABLE_WORKER) == [(HERE, False), (HERE, True)]


async def test_a_lane_is_saturated_while_its_slots_are_taken_and_a_moment_between_is_no_end(
    book: Book, watch: Watch
) -> None:
    worker = await work(book, 1)
    claims = [await book.start(worker) for _ in range(2)]  # its slot, and the spare one of small jobs
    await watch.look()
    assert await watch.kept(Code.LANE_SATURATED) == [(HERE, True)]
    await book.do(
        "UPDATE jobs SET state = 'queued', lease_until = NULL, worker_id = NULL WHERE id = :id", id=claims[0].id
    )
    await watch.look(2)
    await book.do("UPDATE jobs SET state = 'running', lease_until = now(), worker_id = :w", w=worker)
    await watch.look(2)
    assert await watch.kept(Code.LANE_SATURATED) == [(HERE, True)]
    await book.do("UPDATE jobs SET state = 'queued', lease_until = NULL, worker_id = NULL")
    for _ in range(4):
        await watch.look(2)
    assert await watch.kept(Code.LANE_SATURATED) == [(HERE, False)]
    assert 4 <= await watch.lasted(Code.LANE_SATURATED) < 4 + SETTLED_FOR.total_seconds()


async def test_a_customers_limit_holds_that_customer(book: Book, watch: Watch) -> None:
    await book.do("UPDATE customers SET max_running = 1")
    await book.start(await work(book, 9))
    await watch.look()
    assert await watch.kept(Code.CUSTOMER_LIMIT) == [(customer_scope(book.customer_id), True)]
    assert await book.scalar("SELECT evidence FROM conditions WHERE cause = 'customer_limit'") == {
        "limit": 1, "running": 1,
    }  # fmt: skip


async def test_a_dead_worker_is_missed_from_its_last_beat_on(book: Book, watch: Watch) -> None:
    await work(book)
    for _ in range(11):
        await watch.look()
    await book.do("UPDATE workers SET beat_at = now() - interval '8.5 s'")
    await watch.look()
    rows = "FROM conditions, workers WHERE until IS NULL AND scope = :scope AND cause = 'no_worker'"
    assert await book.scalar(f"SELECT since = beat_at {rows}", scope=HERE)


async def test_what_held_is_not_said_to_have_held_while_nobody_watched(book: Book, watch: Watch) -> None:
    await watch.look()
    await watch.look(3600)
    assert await watch.kept(Code.UNEXPLAINED) == [(EVERYWHERE, False)]
    assert [holds for scope, holds in await watch.kept(Code.NO_WORKER) if scope == HERE] == [False, True]
    assert await book.scalar(
        "SELECT min(extract(epoch FROM until - since)) < 2 FROM conditions WHERE cause = 'no_worker'"
    )
    await book.do("UPDATE places SET at = at - interval '1 min'")
    async with book.engine.connect() as session:
        now = await session.scalar(text("SELECT now()"))
        found = await records.during(session, [Window(HERE, now - timedelta(hours=2), now)])
    assert [one.until for one in found if one.cause is Code.NO_WORKER and one.until is None] == []
    assert [one.evidence for one in found if one.cause is Code.UNEXPLAINED] == [{"watched": False}]


async def test_conditions_are_kept_as_long_as_a_job_may_be_asked_about(book: Book, watch: Watch) -> None:
    await work(book)
    for _ in range(7):
        await watch.look()
    job = await book.submit()
    await book.do("UPDATE conditions SET since = since - interval '30 d', until = until - interval '30 d'")
    await book.do("UPDATE jobs SET submitted_at = now() - interval '40 d' WHERE id = :id", id=job)

    async def forget() -> int:
        async with transaction(book.engine) as session:
            return await observing.forget(session)

    assert await forget() == 0
    await book.do("DELETE FROM jobs")
    assert await forget() == 1
    assert (HERE, False) not in await watch.kept(Code.NO_WORKER)
    assert len(await watch.kept(Code.NO_WORKER)) == len(LANES) - 1
