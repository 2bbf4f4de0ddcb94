"""While something outside is down, jobs that need it are held back and others go on; one tries, and all go on by it."""

from uuid import UUID

import pytest

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Claim, Failed, JobError, RetryPolicy, Succeeded
from invoicing.kit.db import driver, make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.leading import Lead
from invoicing.lanes.surroundings import surroundings

from ..book import SOON, Book
from .crew import Crew, until
from .test_dispatching import add_worker

DOWN = Failed(JobError("gate_down", "It does not answer."), dependency="gate")
NEVER = RetryPolicy(max_attempts=30)


async def goes_down(book: Book) -> None:
    """Let three attempts at jobs of long ago fail by it."""
    ids = [await book.submit(seconds=0.5, needs="gate") for _ in range(3)]
    await book.do("UPDATE jobs SET released_at = now() WHERE id = ANY(:ids)", ids=ids)
    for claim in await book.claim(new_id(), [(job_id, 1) for job_id in ids]):
        await book.settle(claim, DOWN, NEVER)
    await book.do("UPDATE jobs SET due_at = now() + interval '1 h' WHERE id = ANY(:ids)", ids=ids)


async def time_comes(book: Book) -> None:
    """Let the time of the next try have come."""
    await book.do("UPDATE dependencies SET next_try_at = now()")
    await book.do(f"SELECT pg_notify('{ledger.DEPENDENCIES}', '')")


async def released(book: Book) -> set[UUID]:
    return {row["id"] for row in await book.rows() if row["released_at"] is not None}


async def are_released(book: Book, *ids: UUID) -> None:
    """Wait until just these lie ready."""

    async def there() -> bool:
        return await released(book) == set(ids)

    await until(there, 10)


async def begun(book: Book, job_id: UUID, attempt: int = 1) -> Claim:
    (claim,) = await book.claim(new_id(), [(job_id, attempt)])
    return claim


@pytest.mark.usefixtures("crew")
async def test_what_needs_it_waits_while_others_of_its_lane_and_customer_start_and_one_after_the_other_tries(
    book: Book,
) -> None:
    await goes_down(book)
    held = [await book.submit(seconds=0.5, needs="gate") for _ in range(3)]
    free = [await book.submit(seconds=0.5, needs=needs) for needs in ("", "post", "")]
    await book.do("UPDATE dependencies SET next_try_at = now() + interval '1 h'")
    await add_worker(book, 8)
    await are_released(book, *free)

    await time_comes(book)
    await are_released(book, *free, held[0])
    await book.lose((await begun(book, held[0])).id)  # its worker dies: that says nothing, and another goes
    await book.do("UPDATE jobs SET due_at = now() + interval '1 h' WHERE id = :id", id=held[0])
    await time_comes(book)
    await are_released(book, *free, held[1])
    await book.settle(await begun(book, held[1]), DOWN, SOON)
    assert (await book.row(held[1]))["failures"] == 0
    assert await book.scalar("SELECT tries FROM dependencies") == 2

    await time_comes(book)
    await are_released(book, *free, held[2])
    await book.settle(await begun(book, held[2]), Succeeded({}))
    await book.do("UPDATE jobs SET due_at = now() WHERE finished_at IS NULL")
    await book.do(f"SELECT pg_notify('{ledger.BACKLOG}', '')")
    await are_released(book, *(row["id"] for row in await book.rows() if row["state"] != "succeeded"))


@pytest.mark.usefixtures("crew")
async def test_what_lies_ready_when_it_goes_down_is_taken_back_before_it_costs_an_attempt(book: Book) -> None:
    await add_worker(book, 8)
    needing = [await book.submit(seconds=0.5, needs="gate post") for _ in range(2)]
    other = await book.submit(seconds=0.5)
    await are_released(book, *needing, other)
    await goes_down(book)
    await book.do("UPDATE dependencies SET next_try_at = now() + interval '1 h'")
    await are_released(book, other)
    assert {row["attempt"] for row in await book.rows() if row["id"] in needing} == {0}


async def test_another_leader_and_a_redis_that_forgot_all_neither_hold_a_try_up_nor_double_it(
    crew: Crew, book: Book
) -> None:
    await goes_down(book)
    held = [await book.submit(seconds=0.5, needs="gate") for _ in range(3)]
    await add_worker(book, 8)
    await time_comes(book)
    await are_released(book, held[0])
    successor = crew.add_dispatcher()
    await crew.stop(crew.leader)

    async def leads() -> bool:
        return bool(successor.leads)

    await until(leads, 10)
    await crew.transport.redis.flushall()
    await time_comes(book)

    async def put_back() -> bool:
        return bool(await crew.transport.redis.dbsize())

    await until(put_back, 10)
    assert await released(book) == {held[0]}


async def test_what_was_read_before_a_try_began_takes_nobody_back_who_tries(database_url: str) -> None:
    book = await Book.open(make_engine(database_url))
    await goes_down(book)
    held = [await book.submit(seconds=0.5, needs="gate") for _ in range(2)]
    await add_worker(book, 8)
    await time_comes(book)
    async with transaction(book.engine) as session:
        before = await surroundings(session)
    lead = Lead(before, {})
    async with book.engine.connect() as session:
        connection = await driver(session)
        for _ in range(2):
            await lead.round(connection)
            assert await released(book) == {held[0]}
            lead.adopt(before)
    await book.engine.dispose()
