"""However a job goes, it ends in the state that its customer should see, with a reason to act on."""

import asyncio
import os
import signal
from typing import Any
from uuid import UUID

import pytest

from invoicing.jobs.model import Event
from invoicing.kit.ids import new_id

from ..book import Book
from .crew import Crew, until


async def test_every_kind_of_end_is_told_as_it_was(crew: Crew, book: Book) -> None:
    """One worker, all outcomes: nothing that goes wrong in one job is felt by another."""
    await crew.worker(slots=4)
    jobs = {
        "done": await book.submit(seconds=0.1, chunks=2),
        "flaky": await book.submit(seconds=0, mode="fail", fail_attempts=0, claimed_seconds=0),
        "recovers": await book.submit(seconds=0, fail_attempts=2, claimed_seconds=0.1),
        "dies": await book.submit(seconds=0, mode="die"),
        "unknown": await book.submit(kind="no.such"),
        "blank": await book.submit(kind="blank"),
        "unkeepable": await book.submit(kind="unkeepable"),
        "unsayable": await book.submit(kind="unsayable"),
        "huge": await book.submit(kind="huge"),
        "hungry": await book.submit(kind="hungry"),
        "slow": await book.submit(kind="slow"),
        "cold": await book.submit(kind="cold"),
        "invalid": await book.submit(seconds=-1, claimed_seconds=1),
    }
    rows = dict(zip(jobs, await crew.ended(*jobs.values(), within=100), strict=True))

    told = {name: (row["state"], row["failures"], row["error"] and row["error"]["code"]) for name, row in rows.items()}
    assert told == {
        "done": ("succeeded", 0, None),
        "flaky": ("dead", 3, "drill_failed"),
        "recovers": ("succeeded", 2, None),
        "dies": ("dead", 3, "child_died"),
        "unknown": ("dead", 3, "unknown_kind"),
        "blank": ("dead", 3, "unknown_outcome"),
        "unkeepable": ("dead", 0, "unwritable_outcome"),
        "unsayable": ("dead", 3, "unknown_outcome"),
        "huge": ("dead", 3, "unknown_outcome"),
        "hungry": ("dead", 3, "memory_limit"),
        "slow": ("dead", 3, "timeout"),
        "cold": ("dead", 3, "unknown_outcome"),
        "invalid": ("dead", 1, "bad_input"),
    }
    assert "SIGKILL" in rows["dies"]["error"]["message"]
    assert rows["invalid"]["error"]["field"] == "/payload/seconds"
    assert await book.events(jobs["recovers"]) == [
        Event.ACCEPTED, *(Event.STARTED, Event.RETRYING) * 2, Event.STARTED, Event.PROGRESSED, Event.SUCCEEDED,
    ]  # fmt: skip


async def test_a_job_cancelled_while_it_works_stops_at_its_checkpoint(crew: Crew, book: Book) -> None:
    await crew.worker()
    job_id = await book.submit(seconds=60, chunks=600, claimed_seconds=0.5)
    await crew.progressed(job_id)
    await book.cancel(job_id)
    (row,) = await crew.ended(job_id)
    assert row["state"] == "cancelled"


async def test_a_job_that_hangs_is_killed_after_its_grace_time_when_it_is_cancelled(crew: Crew, book: Book) -> None:
    await crew.worker()
    job_id = await book.submit(seconds=60, mode="hang", claimed_seconds=0.5)
    await crew.running(job_id)
    await book.cancel(job_id)
    (row,) = await crew.ended(job_id)
    assert (row["state"], row["failures"]) == ("cancelled", 0)


async def test_a_cancel_that_no_notification_tells_of_still_arrives(crew: Crew, book: Book) -> None:
    await crew.worker()
    job_id = await book.submit(seconds=60, mode="hang", claimed_seconds=0.5)
    await crew.running(job_id)
    await book.do("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job_id)
    (row,) = await crew.ended(job_id)
    assert row["state"] == "cancelled"


async def test_a_killed_child_costs_its_own_job_one_attempt_and_nobody_else_anything(crew: Crew, book: Book) -> None:
    worker = await crew.worker(slots=2)
    victim = await book.submit(seconds=3, chunks=10, claimed_seconds=0.5)
    await crew.progressed(victim, 2)
    (pack,) = worker.runner.packs.values()
    assert pack.child is not None
    os.kill(pack.child.pid, signal.SIGKILL)
    other = await book.submit(seconds=0.1)

    rows = await crew.ended(victim, other)

    assert [row["state"] for row in rows] == ["succeeded", "succeeded"]
    assert [row["failures"] for row in rows] == [1, 0]
    assert (await book.events(victim)).count(Event.STARTED) == 2


async def test_a_job_due_later_waits_until_then(crew: Crew, book: Book) -> None:
    await crew.worker()
    request = book.request(seconds=0)
    await book.accept(request)
    late = await book.submit(seconds=0, mode="fail")
    await crew.ended(request.id, late)
    waits = (
        "SELECT min(at) FILTER (WHERE event = 'started' AND attempt = 2) - min(at) FILTER (WHERE event = 'retrying')"
    )
    waited = await book.scalar(waits + " FROM timeline WHERE job_id = :id", id=late)
    assert waited.total_seconds() >= 0.05


@pytest.mark.parametrize("told_first", [True, False])
async def test_a_job_told_to_stop_before_it_has_a_child_never_starts(
    crew: Crew,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    told_first: bool,  # noqa: FBT001 - a case
) -> None:
    """Draining must not wait for a child that does not come."""
    worker = await crew.worker()

    async def never(_size: Any) -> Any:
        await asyncio.sleep(3600)

    monkeypatch.setattr(worker._nursery, "take_now", lambda _size: None)
    monkeypatch.setattr(worker._nursery, "take", never)
    job_id = await book.submit(seconds=0)
    await crew.running(job_id)
    if told_first:
        await book.cancel(job_id)
        assert (await crew.ended(job_id))[0]["state"] == "cancelled"
    await asyncio.wait_for(crew.stop(worker), 15)
    row = await book.row(job_id)
    assert (row["state"], row["failures"]) == ("cancelled" if told_first else "queued", 0)


async def test_a_worker_that_was_forgotten_registers_again(crew: Crew, book: Book) -> None:
    worker = await crew.worker()
    known = "SELECT count(*) FROM workers WHERE id = :id"

    async def registered() -> bool:
        return bool(await book.scalar(known, id=worker.worker_id))

    await until(registered)
    await book.do("DELETE FROM workers")
    await until(registered)


async def test_a_claim_that_its_worker_never_heard_of_is_done_by_rescue(crew: Crew, book: Book) -> None:
    worker = await crew.worker()
    job_id = await book.submit(seconds=0)
    await crew.ended(job_id)
    unheard = new_id()
    await _pretend_claimed(book, unheard, worker.worker_id)
    (row,) = await crew.ended(unheard)
    assert (row["state"], row["attempt"]) == ("succeeded", 2)


async def _pretend_claimed(book: Book, job_id: UUID, worker_id: UUID) -> None:
    """Leave the ledger as a claim does whose answer is lost with its connection."""
    await book.do(
        """
        WITH job AS (
            INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due, attempt,
                revision, lease_until, worker_id)
            VALUES (:id, :customer, 'drill', 'normal', 'small', 0, 'running', now(), now(), 1, 2,
                now() + interval '1 s', :worker)
        ), body AS (
            INSERT INTO payload_parts (job_id, part, body) VALUES (:id, 0, '{"payload": {"seconds": 0}}')
        ), begun AS (
            INSERT INTO attempts (job_id, number, worker_id) VALUES (:id, 1, :worker)
        )
        INSERT INTO timeline (job_id, seq, event, state, attempt)
        VALUES (:id, 1, 'accepted', 'queued', 0), (:id, 2, 'started', 'running', 1)
        """,
        id=job_id, customer=book.customer_id, worker=worker_id,
    )  # fmt: skip
