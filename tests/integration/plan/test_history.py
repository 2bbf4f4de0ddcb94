"""The ledger's own history becomes jobs to plan with: what happened, by an index, and no more than asked for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.model import Priority
from invoicing.jobs.tables import attempts, jobs
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.model import POLICY
from invoicing.lanes.store import register
from invoicing.plan import service, store

from ..book import Book

WEEK = timedelta(days=7)


class Past(Book):
    """A ledger whose history is told from the instant at which its test began."""

    def __init__(self, engine: AsyncEngine, customer_id: UUID) -> None:
        super().__init__(engine, customer_id)
        self.now = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def book(engine: AsyncEngine) -> Past:
    return await Past.open(engine)


async def happened(
    book: Past, minutes_ago: float, *seconds: float, outcomes: tuple[str, ...] = ("succeeded",), **row: Any
) -> UUID:
    """Write a job into the ledger that was submitted some minutes ago, each attempt a second after the one before."""
    job_id, at = new_id(), book.now - timedelta(minutes=minutes_ago)
    begun = at
    made = []
    for number, (outcome, spent) in enumerate(zip(outcomes, seconds, strict=True), 1):
        started = begun + timedelta(seconds=1)
        begun = started + timedelta(seconds=spent)
        made.append(
            {"job_id": job_id, "number": number, "worker_id": new_id(), "started_at": started, "ended_at": begun,
             "outcome": outcome}
        )  # fmt: skip
    values = {
        "id": job_id, "customer_id": book.customer_id, "kind": "invoice.issue", "priority": "normal", "size": "small",
        "predicted_s": 0.5, "state": "succeeded", "revision": 3, "attempt": len(seconds), "order_at": at,
        "submitted_at": at, "promise_due": at, "finished_at": begun, "key_id": book.customer_id,
    }  # fmt: skip
    async with transaction(book.engine) as session:
        await session.execute(insert(jobs).values(values | row))
        if made:
            await session.execute(insert(attempts), made)
    return job_id


async def history(book: Past, over: timedelta = WEEK, most: int = 100) -> service.History:
    async with transaction(book.engine) as session:
        return await service.history(session, over, most)


async def test_jobs_come_back_as_they_arrived_and_with_what_they_took(book: Past) -> None:
    key = new_id()
    await happened(book, 30, 2.5, predicted_s=0.4, priority="urgent", kind="drill", key_id=key)
    await happened(book, 60, 0.25)
    found = await history(book)
    assert (found.cut_off, found.waiting_at_begin) == (False, 0)
    assert found.begins == book.now - timedelta(minutes=60)
    first, second = found.jobs
    assert (first.at_s, first.size_s, first.kind, first.estimated_s) == (0.0, 0.25, "invoice.issue", 0.5)
    assert (second.at_s, second.size_s, second.kind, second.estimated_s) == (1800.0, 2.5, "drill", 0.4)
    assert (second.priority, second.customer, second.key) == (Priority.URGENT, str(book.customer_id), str(key))


async def test_all_attempts_are_work_but_the_silence_of_a_lost_worker(book: Past) -> None:
    await happened(book, 30, 10.0, 300.0, 20.0, 5.0, outcomes=("interrupted", "lost", "retrying", "succeeded"))
    (job,) = (await history(book)).jobs
    assert job.size_s == pytest.approx(35.0)


async def test_checkpoints_are_counted_from_what_the_job_said_on_its_way(book: Past) -> None:
    await happened(book, 20, 1.0, revision=3)
    await happened(book, 10, 1.0, 1.0, outcomes=("interrupted", "succeeded"), revision=5 + 40)
    plain, stopping = (await history(book)).jobs
    assert (plain.checkpoints, stopping.checkpoints) == (0, 40)


async def test_what_did_not_succeed_or_is_older_is_not_in_it(book: Past) -> None:
    kept = await happened(book, 30, 1.0)
    await happened(book, 60 * 24 * 8, 1.0)
    await happened(book, 30, 1.0, state="dead")
    await book.submit()
    found = await history(book)
    assert len(found.jobs) == 1
    assert kept


async def test_the_newest_are_read_and_it_is_said_that_others_were_not(book: Past) -> None:
    for minutes in range(1, 21):
        await happened(book, minutes, 1.0)
    found = await history(book, most=5)
    assert found.cut_off
    assert len(found.jobs) == 5
    assert found.begins >= book.now - timedelta(minutes=5)
    assert not (await history(book, most=20)).cut_off


async def test_what_had_arrived_before_waits_when_it_begins(book: Past) -> None:
    await happened(book, 180, 60 * 150.0)  # finished half an hour ago, submitted long before the hour that is asked for
    await happened(book, 40, 1.0)
    found = await history(book, over=timedelta(hours=1))
    assert found.waiting_at_begin == 1
    assert found.jobs[0].at_s == 0.0
    assert found.jobs[1].at_s == pytest.approx(20 * 60, abs=60)


async def test_an_empty_ledger_has_an_empty_history(book: Past) -> None:
    found = await history(book)
    assert (list(found.jobs), found.cut_off, found.waiting_at_begin) == ([], False, 0)


async def test_reading_walks_the_index_and_stops_where_it_has_enough(book: Past) -> None:
    await book.do(
        """INSERT INTO jobs (id, customer_id, kind, priority, size, predicted_s, state, order_at, promise_due,
               finished_at)
           SELECT gen_random_uuid(), :customer, 'drill', 'normal', 'small', 1, 'succeeded', now(), now(),
               now() - n * interval '1 s' FROM generate_series(1, 20000) AS n""",
        customer=book.customer_id,
    )
    await book.do("INSERT INTO attempts (job_id, number, worker_id, ended_at, outcome)"
                  " SELECT id, 1, id, now(), 'succeeded' FROM jobs")  # fmt: skip
    await book.do("ANALYZE jobs, attempts")
    async with book.engine.connect() as session:
        asked = {"over": WEEK, "most": 1000}
        explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {store._FINISHED.text}")
        (plan,) = (await session.execute(explained, asked)).scalar_one()
    nodes = list(walk(plan["Plan"]))
    read = {(node.get("Relation Name"), node["Node Type"], node["Actual Rows"]) for node in nodes}
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], read
    by_finish = [node for node in nodes if node.get("Index Name") == "ix_jobs_finished"]
    assert [node["Actual Rows"] for node in by_finish] == [1000]


def walk(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node] + [below for child in node.get("Plans", ()) for below in walk(child)]


async def test_today_is_who_is_alive_and_the_policy_that_holds(book: Past) -> None:
    async with transaction(book.engine) as session:
        for host, slots in (("a", 8), ("b", 4)):
            await register(session, new_id(), host, 1, "test", slots, ["normal-small"], ["drill"])
        await session.execute(text("UPDATE workers SET beat_at = now() - interval '1 h' WHERE host = 'b'"))
        await session.execute(
            text("INSERT INTO policies (scope, settings, by, reason) VALUES ('fleet', '{\"spare\": 3}', 'me', 'test')")
        )
        today = await service.today(session)
    assert today.slots == (8,)
    assert today.policy.spare == 3
    assert today.policy.reserve == POLICY.reserve
