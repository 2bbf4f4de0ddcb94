"""Promises are kept in sight: told before they break and when they do, once, with the reason, to who wants to know."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import service as diagnosis
from invoicing.jobs.model import Cause, Eta, Event, Job, Rejected, Standing, Succeeded
from invoicing.jobs.model.outcomes import JobError
from invoicing.jobs.store import promises as store
from invoicing.kit.db import Session, make_engine
from invoicing.kit.ids import new_id
from workers.keeper import Keeper
from workers.pulse import Pulses

from ..book import Book
from ..workers.crew import until

CAUSE = "no_worker"


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
async def book(engine: AsyncEngine) -> Book:
    return await Book.open(engine)


class Seer:
    """Explains jobs by what a test says of their ends."""

    def __init__(self) -> None:
        self.latest: datetime | None = None
        self.asked: list[UUID] = []

    async def __call__(
        self, _session: Session, jobs: Sequence[Job], /, *, language: str = ""
    ) -> Mapping[UUID, Standing]:
        assert not language
        self.asked += [job.id for job in jobs]
        eta = Eta(self.latest, self.latest, self.latest, None, 0) if self.latest else None
        cause = Cause(CAUSE, "No worker serves its lane.", None, jobs[0].submitted_at, None, {})
        return {job.id: Standing(eta=eta, cause=cause) for job in jobs}


@pytest.fixture
def seer() -> Seer:
    return Seer()


@pytest.fixture
def keeper(engine: AsyncEngine, seer: Seer) -> Keeper:
    return Keeper(engine, seer, every_s=0.05)


async def promised(book: Book, due_in: float, **more: Any) -> UUID:
    """Submit a job a while ago that is due some seconds from now."""
    job_id = await book.submit(**more)
    await due(book, job_id, due_in)
    return job_id


async def due(book: Book, job_id: UUID, seconds: float) -> datetime:
    await book.do(
        "UPDATE jobs SET submitted_at = now() - interval '1 minute', "
        "promise_due = now() + CAST(:left AS interval) WHERE id = :id",
        left=timedelta(seconds=seconds),
        id=job_id,
    )
    found: datetime = await book.scalar("SELECT promise_due FROM jobs WHERE id = :id", id=job_id)
    return found


async def endpoint(book: Book, events: list[str] | None = None) -> UUID:
    endpoint_id = new_id()
    await book.do(
        "INSERT INTO endpoints (id, customer_id, url, events, secret, idempotency_key, body_hash) "
        "VALUES (:id, :customer, :name, :events, '', :name, '')",
        id=endpoint_id,
        name=f"https://example.com/{endpoint_id}",
        customer=book.customer_id,
        events=events,
    )
    return endpoint_id


async def bodies(book: Book) -> list[dict[str, Any]]:
    found = await book.scalar("SELECT json_agg(body ORDER BY seq) FROM messages")
    return [json.loads(body) for body in found or ()]


async def test_a_promise_at_risk_is_told_before_it_breaks_and_again_when_it_does(
    book: Book, keeper: Keeper, seer: Seer
) -> None:
    await endpoint(book)
    job_id = await promised(book, 60)
    seer.latest = (await book.row(job_id))["promise_due"] + timedelta(hours=1)
    assert await keeper.round() == 1
    assert await keeper.round() == 0
    due_at = await due(book, job_id, -1)
    assert await keeper.round() == 1
    assert await book.events(job_id) == [Event.ACCEPTED, Event.PROMISE_AT_RISK, Event.PROMISE_MISSED]
    row = await book.row(job_id)
    assert (row["promise_status"], row["revision"]) == ("missed", 3)
    at_risk, missed = await bodies(book)
    assert (at_risk["type"], missed["type"]) == ("job.promise_at_risk", "job.promise_missed")
    told: dict[str, Any] = {"code": CAUSE, "message": "No worker serves its lane.", "wording": None, "fields": {}}
    assert at_risk["data"]["reason"] == told
    assert datetime.fromisoformat(at_risk["data"]["expected"]["latest"]) > due_at
    assert missed["data"]["promise"]["status"] == "missed"
    assert await keeper.round() == 0
    assert seer.asked == [job_id] * 3, "what is missed is looked at no more"


async def test_a_promise_that_is_safe_again_is_on_its_timeline_and_no_message(
    book: Book, keeper: Keeper, seer: Seer
) -> None:
    await endpoint(book)
    job_id = await promised(book, 60)
    start: datetime = (await book.row(job_id))["promise_due"] - timedelta(seconds=60)
    for latest_in, changed in ((61, 1), (55, 0), (20, 1)):  # 55 s would fit, but barely
        seer.latest = start + timedelta(seconds=latest_in)
        assert await keeper.round() == changed
    assert await book.events(job_id) == [Event.ACCEPTED, Event.PROMISE_AT_RISK, Event.PROMISE_ON_TRACK]
    assert [body["type"] for body in await bodies(book)] == ["job.promise_at_risk"]


async def test_only_who_wants_to_know_is_told(book: Book, keeper: Keeper) -> None:
    await endpoint(book, ["job.succeeded"])
    wants = await endpoint(book, ["job.promise_missed"])
    one, other = await promised(book, -1), await promised(book, -1)
    await book.do("UPDATE jobs SET webhook = 'https://example.com/another' WHERE id = :id", id=other)
    assert await keeper.round() == 2
    assert await book.scalar("SELECT array_agg(ARRAY[endpoint_id, job_id]) FROM messages") == [[wants, one]]


async def test_what_is_young_finished_or_far_from_due_costs_no_look(book: Book, keeper: Keeper, seer: Seer) -> None:
    done = await book.start(new_id())
    await due(book, done.id, -1)
    await book.settle(done, Succeeded({}))
    dead = await book.start(new_id())
    await due(book, dead.id, 60)
    await book.settle(dead, Rejected(JobError("bad_input", "No.")))
    await book.submit()
    assert await keeper.round() == 0
    assert seer.asked == []


async def test_of_two_keepers_one_tells(book: Book, engine: AsyncEngine, seer: Seer) -> None:
    jobs = [await promised(book, -1) for _ in range(20)]
    told = await asyncio.gather(*(Keeper(engine, seer, page=3).round() for _ in range(4)))
    assert sum(told) >= len(jobs) - 12, "what another holds this moment is left to the next round"
    while await Keeper(engine, seer).round():
        pass
    for job_id in jobs:
        assert (await book.events(job_id)).count(Event.PROMISE_MISSED) == 1


async def test_a_job_that_is_in_a_step_of_its_own_holds_up_no_other(book: Book, keeper: Keeper) -> None:
    held, free = await promised(book, -1), await promised(book, -1)
    async with book.engine.begin() as session:
        await session.exec_driver_sql(f"SELECT FROM jobs WHERE id = '{held}' FOR UPDATE")
        assert await keeper.round() == 1
    assert await book.events(free) == [Event.ACCEPTED, Event.PROMISE_MISSED]
    assert await keeper.round() == 1


async def test_what_is_due_later_is_looked_at_in_turns_a_page_a_round(
    book: Book, engine: AsyncEngine, seer: Seer
) -> None:
    later = [await promised(book, 600 + place) for place in range(5)]
    near = await promised(book, 60)
    seer.latest = (await book.row(near))["promise_due"] - timedelta(seconds=50)
    keeper = Keeper(engine, seer, page=2)
    for _ in range(4):
        await keeper.round()
    assert [job for job in seer.asked if job != near] == later
    assert seer.asked.count(near) == 4


async def test_a_job_that_nobody_serves_is_at_risk_with_its_proven_cause(book: Book, engine: AsyncEngine) -> None:
    job_id = await promised(book, 5)
    assert await Keeper(engine, diagnosis.explain).round() == 1
    (_, told) = await book.timeline(job_id)
    assert told.event is Event.PROMISE_AT_RISK
    assert told.data["reason"]["code"] == "no_worker"
    assert told.data["expected"] is None


async def test_a_round_that_fails_is_not_the_last(
    book: Book, keeper: Keeper, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(*_: Any) -> Any:
        monkeypatch.undo()
        raise ConnectionError

    monkeypatch.setattr(store, "note", away)
    job_id = await promised(book, -1)
    running = asyncio.create_task(keeper.run())

    async def told() -> bool:
        return Event.PROMISE_MISSED in await book.events(job_id)

    await until(told, 10)
    keeper.stop()
    await asyncio.wait_for(running, 30)
    assert "promises.failed" in [getattr(record, "action", "") for record in caplog.records]


async def test_what_ends_is_counted_by_one_of_many(book: Book, engine: AsyncEngine, seer: Seer) -> None:
    for _ in range(3):
        assert await book.settle(await book.start(new_id()), Succeeded({}))
    await book.do("UPDATE jobs SET finished_at = now() - interval '50 minutes'")
    await book.do("UPDATE promise_counts SET counted_to = now() - interval '2 hours'")
    keepers = [Keeper(engine, seer) for _ in range(3)]
    await asyncio.gather(*(keeper.count() for keeper in keepers))
    await keepers[0].count()
    assert await book.scalar("SELECT sum(kept)::int FROM promise_tallies") == 3
    assert await book.scalar("SELECT now() - counted_to < interval '1 minute' FROM promise_counts")


async def test_each_step_of_a_long_round_of_updates_shows_that_it_gets_on(engine: AsyncEngine, seer: Seer) -> None:
    moments = [0.0]
    pulses = Pulses(lambda: moments[-1])
    keeper = Keeper(engine, seer, pulses=pulses)
    updates = pulses.of("updates", 1.0)
    moments.append(1_000.0)
    assert updates.late
    await keeper.update()
    assert not updates.late
