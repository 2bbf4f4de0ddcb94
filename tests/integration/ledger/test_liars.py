"""A job that outlives its class is learned from at once, and what its customer has waiting is placed anew."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.service import ensure_customer
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Claim, Interrupted, Size
from invoicing.kit.db import transaction
from invoicing.lanes.learning import learn_on
from invoicing.lanes.prediction import Predictor, refreshed
from workers.learner import Learner

from ..book import Book

WORKER = uuid4()
CLAIMED_S, TOOK_S = 0.1, 1.5
NEVER_S = 3_600.0

_LEARNER_WORKS = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND state = 'idle in transaction' AND query LIKE '%WITH wanted AS%')
"""


async def started(book: Book, count: int) -> list[Claim]:
    """Start jobs that claim to be small."""
    await book.accept(*(book.request(claimed_seconds=CLAIMED_S) for _ in range(count)))
    return await book.claim(WORKER, await book.release(count))


async def found_out(book: Book, claims: list[Claim]) -> None:
    """Let running jobs outlive their class, as their worker says."""
    await book.do(
        "UPDATE attempts SET started_at = now() - CAST(:age AS interval) WHERE job_id = ANY(:ids)",
        ids=[claim.id for claim in claims], age=timedelta(seconds=TOOK_S),
    )  # fmt: skip
    for claim in claims:
        async with transaction(book.engine) as session:
            assert await ledger.reclass(session, claim.id, claim.attempt, Size.MEDIUM)


@asynccontextmanager
async def learning(engine: AsyncEngine) -> AsyncIterator[None]:
    """Have a learner run that learns only when it is told."""
    learner = Learner(engine, every_s=NEVER_S)
    running = asyncio.create_task(learner.run())
    yield
    learner.stop()
    await asyncio.wait_for(running, 30)


async def becomes(book: Book, statement: str, expected: object, **values: object) -> None:
    """Wait until the ledger says something."""
    async with asyncio.timeout(20):
        while await book.scalar(statement, **values) != expected:  # noqa: ASYNC110 - another connection writes it
            await asyncio.sleep(0.01)


async def test_what_waits_leaves_the_small_class_once_three_like_it_outlived_it(
    book: Book, engine: AsyncEngine
) -> None:
    claims = await started(book, 3)
    waiting = await book.accept(*(book.request(claimed_seconds=CLAIMED_S) for _ in range(5)))
    tickets = await book.release(2)
    async with learning(engine):
        await found_out(book, claims)
        await becomes(
            book, "SELECT count(*) FROM jobs WHERE size = 'medium' AND id = ANY(:ids)", len(waiting), ids=waiting
        )
    assert await book.claim(WORKER, tickets) == [], "what was on the runway could still be taken"


async def test_the_first_lie_takes_only_the_like_of_it_off_the_runway(book: Book, engine: AsyncEngine) -> None:
    async with transaction(engine) as session:
        other = Book(engine, (await ensure_customer(session, "other", "Other")).id)
    claims = await started(book, 1)
    alike = await book.submit(claimed_seconds=CLAIMED_S)
    expedited = await book.submit(claimed_seconds=CLAIMED_S)
    unlike = await other.submit(claimed_seconds=CLAIMED_S)
    await book.release(3)
    await book.do("UPDATE jobs SET expedited_at = now() WHERE id = :id", id=expedited)
    async with learning(engine):
        await found_out(book, claims)
        await becomes(book, "SELECT released_at IS NULL FROM jobs WHERE id = :id", True, id=alike)
    row = await book.row(alike)
    assert (row["size"], row["state"]) == ("small", "queued")
    for stays in (unlike, expedited):
        assert (await book.row(stays))["released_at"] is not None


async def test_small_work_that_began_and_was_taken_back_is_placed_anew_and_larger_work_is_not(
    book: Book, engine: AsyncEngine
) -> None:
    """A pack of liars is taken apart when its first one takes long; nobody has seen how large the others are."""
    claims = await started(book, 5)
    small, larger = claims[3:]
    assert await book.settle(small, Interrupted("unpacked"))
    assert await book.settle(larger, Interrupted("yield", Size.LARGE))
    async with learning(engine):
        await found_out(book, claims[:3])
        await becomes(book, "SELECT size FROM jobs WHERE id = :id", "medium", id=small.id)
    assert (await book.row(larger.id))["size"] == "large"


async def test_what_is_locked_for_a_moment_is_placed_anew_all_the_same(book: Book, engine: AsyncEngine) -> None:
    """The dispatcher may be releasing it just then: its lock is gone a moment later."""
    await found_out(book, await started(book, 3))
    held = await book.submit(claimed_seconds=CLAIMED_S)
    async with engine.connect() as holder:
        await holder.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": held})
        async with transaction(engine) as session:
            learned = asyncio.create_task(learn_on(session))
            await becomes(book, _LEARNER_WORKS, True)
            await holder.rollback()
            assert (await learned).resized == 1
    assert (await book.row(held))["size"] == "medium"


async def test_a_web_process_predicts_by_it_at_once(book: Book, engine: AsyncEngine) -> None:
    predictor = Predictor()
    async with refreshed(predictor, engine, every_s=NEVER_S), learning(engine):
        assert predictor.predicted("drill", book.customer_id, CLAIMED_S) <= 1.0
        await found_out(book, await started(book, 3))
        async with asyncio.timeout(20):
            while predictor.predicted("drill", book.customer_id, CLAIMED_S) <= 1.0:  # noqa: ASYNC110 - its task reads
                await asyncio.sleep(0.01)
