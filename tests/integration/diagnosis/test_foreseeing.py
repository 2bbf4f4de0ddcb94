"""What was said of a job's end is kept, held against its end, and added up by the day."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest

from invoicing.diagnosis import foreseeing, service
from invoicing.diagnosis.model.calibration import Tally, median
from invoicing.jobs.model import JobError, Rejected, Succeeded
from invoicing.kit.db import make_engine, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES

from ..book import Book

WORKER = uuid4()
EVER = (date(2000, 1, 1), date(2100, 1, 1))
ANY: dict[str, Any] = {"kind": None, "size": None, "stage": None}


@pytest.fixture
async def book(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Book]:
    """Give a ledger in which five jobs of two seconds have ended, and a worker has eight free slots."""
    monkeypatch.setattr(service, "LEARN_AGAIN_AFTER_S", 0.0)
    engine = make_engine(database_url)
    book = await Book.open(engine)
    async with transaction(engine) as session:
        names = [lane.name for lane in LANES]
        await lanes.register(session, WORKER, "host", 1, "0.1", 8, names, ["drill"])
    for _ in range(5):
        claim = await book.start(WORKER)
        await book.settle(claim, Succeeded({}))
    await book.do("UPDATE attempts SET started_at = ended_at - interval '2 s'")
    yield book
    await engine.dispose()


async def foresee(book: Book) -> int:
    async with transaction(book.engine) as session:
        return await foreseeing.foresee_some(session)


async def scored(book: Book, **of: Any) -> Tally:
    total = Tally()
    async with book.engine.connect() as session:
        for _, one in await foreseeing.scored(session, *EVER, **ANY | of):
            total.add(one)
    return total


async def ended_after(book: Book, *times: tuple[float, float]) -> None:
    """Let waiting jobs be foreseen, and each end so many seconds later, after so many of work."""
    ids = [await book.submit() for _ in times]
    assert await foresee(book) == len(ids)
    for claim in await book.claim(WORKER, await book.release()):
        await book.settle(claim, Succeeded({}))
    for job_id, (passed_s, worked_s) in zip(ids, times, strict=True):
        at = {"id": job_id, "passed": passed_s, "worked": worked_s}
        await book.do("UPDATE foreseen SET made_at = now() - :passed * interval '1 s' WHERE job_id = :id", **at)
        await book.do("UPDATE attempts SET started_at = ended_at - :worked * interval '1 s' WHERE job_id = :id", **at)
    await foresee(book)


async def test_ends_are_held_against_what_was_said_and_added_up(book: Book) -> None:
    await ended_after(book, (2.1, 2.0), (2.2, 2.0), (500.0, 2.0), (0.0, 500.0))
    found = await scored(book)
    assert (found.scored, found.ranged, found.early, found.late) == (4, 4, 1, 1)
    assert (found.bounded, found.slow) == (4, 1)
    assert found.share_held == 0.5
    error, naive = median(found.errors), median(found.naive_errors)
    assert error is not None
    assert error < 5
    assert naive is not None
    assert (await scored(book, size="small", kind="drill", stage="starting")) == found
    assert (await scored(book, size="large")).scored == (await scored(book, stage="running")).scored == 0
    days = await book.scalar("SELECT array_agg(DISTINCT day) FROM calibration")
    assert days == [datetime.now(UTC).date()]


async def test_what_goes_on_is_counted_and_what_ends_ill_is_forgotten(book: Book) -> None:
    ids = [await book.submit() for _ in range(2)]
    assert await foresee(book) == 2
    await book.do("UPDATE foreseen SET made_at = now() - interval '1 h' WHERE job_id = :id", id=ids[0])
    async with book.engine.connect() as session:
        assert await foreseeing.going_on(session, **ANY) == (2, 1)
    for claim in await book.claim(WORKER, await book.release()):
        await book.settle(claim, Rejected(JobError("bad_input", "No.")))
    await foresee(book)
    assert await book.scalar("SELECT count(*) FROM foreseen") == 0
    assert (await scored(book)).scored == 0


async def test_of_a_long_backlog_what_was_foreseen_long_ago_is_followed_too(book: Book) -> None:
    await book.do(
        "INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, promise_due, order_at) "
        "SELECT gen_random_uuid(), :customer, 'drill', 'normal', 'large', 60, 'queued', now(), now() "
        "FROM generate_series(1, 1200)",
        customer=book.customer_id,
    )
    await book.do(
        "INSERT INTO foreseen (job_id, size, stage, point_s, made_at) "
        "SELECT id, size, 'waiting', 60, now() - row_number() OVER (ORDER BY id) * interval '1 s' "
        "FROM jobs WHERE state = 'queued'"
    )
    await foresee(book)
    old = await book.scalar("SELECT count(*) FROM foreseen WHERE made_at < now() - interval '600 s'")
    assert 150 < old < 350
    assert await book.scalar("SELECT count(*) FROM foreseen WHERE size = 'large'") <= 510


async def test_days_three_years_ago_are_forgotten(book: Book) -> None:
    await ended_after(book, (2.0, 2.0))
    row = "UPDATE calibration SET day = day - CAST(:days AS int)"
    await book.do(row, days=1_000)
    async with transaction(book.engine) as session:
        await foreseeing.forget(session)
    assert (await scored(book)).scored == 1
    await book.do(row, days=200)
    async with transaction(book.engine) as session:
        await foreseeing.forget(session)
    assert (await scored(book)).scored == 0
