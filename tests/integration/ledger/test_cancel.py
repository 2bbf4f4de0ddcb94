"""Cancelling: what waits ends at once, what runs is told, what is done stays done."""

from uuid import uuid4

import pytest

from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import StopRequested
from invoicing.jobs.model import Cancelled, Event, Failed, JobError, Outcome, Rejected, RetryPolicy, State, Succeeded
from invoicing.kit.db import transaction
from workers.performance import FencedPerformance
from workers.stillness import Stillness

from ..book import Book

WORKER = uuid4()
ERROR = JobError("broken", "It broke.")


async def test_a_waiting_job_ends_at_once_even_on_the_runway(book: Book) -> None:
    waiting, released = await book.submit(seconds=1), await book.submit(seconds=1)
    await book.do("UPDATE jobs SET order_at = now() - interval '1 h' WHERE id = :id", id=released)
    tickets = await book.release(1)

    assert await book.cancel(waiting) == (State.QUEUED, State.CANCELLED)
    assert await book.cancel(released) == (State.QUEUED, State.CANCELLED)

    assert await book.claim(WORKER, tickets) == []
    assert await book.release() == []
    assert await book.events(waiting) == [Event.ACCEPTED, Event.CANCELLED]


async def test_a_job_in_review_ends_at_once(book: Book) -> None:
    job_id = await book.submit(seconds=1)
    await book.do("UPDATE jobs SET state = 'in_review' WHERE id = :id", id=job_id)
    assert await book.cancel(job_id) == (State.IN_REVIEW, State.CANCELLED)


async def test_a_job_that_waits_for_its_retry_ends_at_once(book: Book) -> None:
    claim = await book.start(WORKER)
    await book.settle(claim, Failed(ERROR), RetryPolicy())
    assert await book.cancel(claim.id) == (State.RETRYING, State.CANCELLED)


async def test_a_running_job_stops_at_its_next_step_and_nothing_of_that_step_is_kept(book: Book) -> None:
    claim = await book.start(WORKER)
    performance = FencedPerformance(book.engine, claim, {}, Stillness(lambda: None))
    assert await book.cancel(claim.id) == (State.RUNNING, State.RUNNING)

    with pytest.raises(StopRequested, match="cancel"):
        await performance.checkpoint(1, 2, "steps")

    assert await book.settle(claim, Cancelled())
    assert await book.events(claim.id) == [Event.ACCEPTED, Event.STARTED, Event.CANCEL_REQUESTED, Event.CANCELLED]


@pytest.mark.parametrize("outcome", [Succeeded({}), Rejected(ERROR), Cancelled()])
async def test_a_finished_job_stays_as_it_is(book: Book, outcome: Outcome) -> None:
    claim = await book.start(WORKER)
    await book.settle(claim, outcome)
    before = await book.row(claim.id)

    assert await book.cancel(claim.id) == (State(before["state"]), None)
    assert await book.row(claim.id) == before


async def test_cancelling_twice_is_cancelling_once(book: Book) -> None:
    claim = await book.start(WORKER)
    await book.cancel(claim.id)
    assert await book.cancel(claim.id) == (State.RUNNING, None)
    assert (await book.events(claim.id)).count(Event.CANCEL_REQUESTED) == 1


async def test_work_that_is_a_fact_in_the_world_is_no_longer_cancelled(book: Book) -> None:
    claim = await book.start(WORKER)
    performance = FencedPerformance(book.engine, claim, {}, Stillness(lambda: None))
    async with performance.step(irrevocable=True):
        pass

    assert await book.cancel(claim.id) == (State.RUNNING, None)

    await performance.checkpoint(1, 1, "steps")
    assert await book.settle(claim, Succeeded({}))


async def test_nobody_cancels_the_job_of_another(book: Book) -> None:
    job_id = await book.submit(seconds=1)
    async with transaction(book.engine) as session:
        assert await ledger.cancel(session, uuid4(), job_id) is None
    assert (await book.row(job_id))["state"] == "queued"
