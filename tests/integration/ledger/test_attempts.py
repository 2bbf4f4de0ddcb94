"""One attempt at a time: whoever is late, doubled or lost changes nothing."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from invoicing.jobs.kinds import StopRequested
from invoicing.jobs.model import Cancelled, Event, Failed, Interrupted, JobError, Outcome, Size, State, Succeeded
from workers import heartbeat
from workers.performance import FencedPerformance
from workers.stillness import Stillness

from ..book import NORMAL_SMALL, Book

FAILED = Failed(JobError("broken", "It broke."))
WORKER, OTHER = uuid4(), uuid4()


async def test_five_workers_that_claim_the_same_jobs_get_each_job_once(book: Book) -> None:
    ids = await book.accept(*(book.request(seconds=0) for _ in range(40)))
    tickets = await book.release()

    claimed = await asyncio.gather(*(book.claim(uuid4(), tickets) for _ in range(5)))

    assert sorted(claim.id for claims in claimed for claim in claims) == sorted(ids)
    assert await book.scalar("SELECT count(*) FROM attempts") == 40


async def test_jobs_are_released_in_the_order_in_which_they_are_due_and_no_more_than_asked(book: Book) -> None:
    ids = await book.accept(*(book.request(seconds=0) for _ in range(6)))
    await book.do("UPDATE jobs SET order_at = order_at - interval '1 h' WHERE id = :id", id=ids[4])

    assert [job for job, _ in await book.release(2)] == [ids[4], ids[0]]
    assert [job for job, _ in await book.release(2)] == ids[1:3]


async def test_a_job_due_later_stays_in_the_backlog(book: Book) -> None:
    job_id = await book.submit(seconds=0)
    await book.do("UPDATE jobs SET due_at = now() + interval '1 h' WHERE id = :id", id=job_id)

    assert await book.release() == []


async def test_a_withdrawn_job_cannot_be_claimed_until_it_is_released_again(book: Book) -> None:
    await book.submit(seconds=0)
    tickets = await book.release()
    assert len(await book.withdraw(NORMAL_SMALL)) == 1

    assert await book.claim(WORKER, tickets) == []
    assert len(await book.claim(WORKER, await book.release())) == 1


@pytest.mark.parametrize("outcome", [Succeeded({}), FAILED, Interrupted("drain"), Cancelled()])
async def test_the_end_of_an_attempt_that_was_rescued_changes_nothing(book: Book, outcome: Outcome) -> None:
    late = await book.start(WORKER)
    await book.lose(late.id)
    (current,) = await book.claim(OTHER, await book.release())
    before = await book.row(late.id)

    assert not await book.settle(late, outcome)

    assert await book.row(late.id) == before
    assert await book.settle(current, Succeeded({"by": "the other"}))
    assert (await book.row(late.id))["result"] == {"by": "the other"}


async def test_an_attempt_that_was_rescued_writes_no_progress_checkpoint_or_file(book: Book) -> None:
    claim = await book.start(WORKER)
    late = FencedPerformance(book.engine, claim, {}, Stillness(lambda: None))
    await book.lose(claim.id)
    await book.claim(OTHER, await book.release())
    revision = (await book.row(claim.id))["revision"]

    with pytest.raises(StopRequested, match="lost"):
        await late.checkpoint(1, 2, "steps", {"at": 1})
    with pytest.raises(StopRequested, match="lost"):
        async with late.step() as session:
            await late.write_part(session, "file", "text/plain", 0, b"late")

    assert (await book.row(claim.id))["revision"] == revision
    assert await book.scalar("SELECT count(*) FROM checkpoints") == 0
    assert await book.scalar("SELECT count(*) FROM artifact_parts") == 0


async def test_leases_are_extended_together_and_only_for_attempts_the_worker_knows_of(book: Book) -> None:
    """A claim whose answer never reached its worker must run out, or nobody would ever do the job."""
    known = await book.start(WORKER, timedelta(seconds=1))
    other = await book.start(OTHER, timedelta(seconds=1))
    unheard = await book.start(WORKER, timedelta(seconds=1))

    assert await book.renew(WORKER, known, other) == {(known.id, known.attempt): False}

    left = "SELECT extract(epoch FROM lease_until - now()) FROM jobs WHERE id = :id"
    assert await book.scalar(left, id=known.id) > 5
    assert await book.scalar(left, id=other.id) < 1
    assert await book.scalar(left, id=unheard.id) < 1


async def test_a_step_that_takes_long_does_not_keep_the_leases_of_other_jobs_from_being_extended(book: Book) -> None:
    slow, quick = await book.start(WORKER), await book.start(WORKER)
    performance = FencedPerformance(book.engine, slow, {}, Stillness(lambda: None))
    async with performance.step():
        renewed = await asyncio.wait_for(book.renew(WORKER, slow, quick, lease=timedelta(hours=1)), 1)
    assert set(renewed) == {(slow.id, slow.attempt), (quick.id, quick.attempt)}
    assert await book.scalar("SELECT lease_until > now() + interval '30 min' FROM jobs WHERE id = :id", id=quick.id)


async def test_a_worker_hears_with_its_heartbeat_of_a_cancel_that_it_missed(book: Book) -> None:
    claim = await book.start(WORKER)
    await book.cancel(claim.id)
    assert await book.renew(WORKER, claim) == {(claim.id, claim.attempt): True}


async def test_a_rescued_job_goes_back_uncounted_and_a_cancelled_one_ends(book: Book) -> None:
    lost, cancelled, alive = [await book.start(WORKER) for _ in range(3)]
    await book.cancel(cancelled.id)
    await book.lose(lost.id)
    await book.lose(cancelled.id)

    rows = [await book.row(claim.id) for claim in (lost, cancelled, alive)]
    assert [(row["state"], row["failures"]) for row in rows] == [("queued", 0), ("cancelled", 0), ("running", 0)]
    assert await book.events(lost.id) == [Event.ACCEPTED, Event.STARTED, Event.RESCUED]
    assert (await book.events(cancelled.id))[-1] is Event.CANCELLED
    assert await book.scalar("SELECT count(*) FROM attempts WHERE outcome = 'lost' AND ended_at IS NOT NULL") == 2


@pytest.mark.parametrize("outcome", [Interrupted("drain"), FAILED])
async def test_a_job_that_was_cancelled_while_its_attempt_ended_otherwise_is_not_tried_again(
    book: Book, outcome: Outcome
) -> None:
    claim = await book.start(WORKER)
    assert await book.cancel(claim.id) == (State.RUNNING, State.RUNNING)

    assert await book.settle(claim, outcome)

    assert (await book.row(claim.id))["state"] == "cancelled"
    assert (await book.events(claim.id))[-1] is Event.CANCELLED


async def test_work_that_was_done_before_the_cancel_reached_it_is_delivered(book: Book) -> None:
    claim = await book.start(WORKER)
    await book.cancel(claim.id)
    assert await book.settle(claim, Succeeded({"done": True}))
    assert (await book.row(claim.id))["state"] == "succeeded"


async def test_a_retry_waits_for_its_time_and_behind_jobs_that_are_due_before(book: Book) -> None:
    claim = await book.start(WORKER)
    asked = Failed(JobError("busy", "Busy."), retry_after=timedelta(hours=1))
    assert await book.settle(claim, asked)
    later = await book.submit(seconds=0)

    row = await book.row(claim.id)
    assert row["state"] == "retrying"
    assert row["error"]["code"] == "busy"
    assert row["order_at"] > (await book.row(later))["order_at"]
    assert [job for job, _ in await book.release()] == [later]


async def test_a_job_that_turned_out_larger_goes_on_in_the_lane_of_its_class(book: Book) -> None:
    claim = await book.start(WORKER)
    assert await book.settle(claim, Interrupted("yield", Size.LARGE))
    assert await book.release() == []
    assert [job for job, _ in await book.release(lane=(claim.priority, Size.LARGE))] == [claim.id]


def test_a_lease_outlives_four_beats() -> None:
    assert heartbeat.BEATS > 4


async def test_a_process_that_is_stopped_inside_a_step_does_not_lock_its_job_for_ever(book: Book) -> None:
    assert await book.scalar("SHOW idle_in_transaction_session_timeout") == "1min"


async def test_a_connection_that_postgresql_closed_is_replaced_before_anybody_meets_it(book: Book) -> None:
    await book.rows()
    async with book.engine.connect() as session:  # another connection than the one that is idle
        await book.rows()
        closed = await session.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert closed.scalars().all() == [True]
        await asyncio.sleep(0.05)
        assert await book.rows() == []
