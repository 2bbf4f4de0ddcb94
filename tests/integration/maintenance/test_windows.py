"""Maintenance by nobody's surprise: those it touches are told, promises move before, lanes drain and go on."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.model import Principal, Role
from invoicing.diagnosis import service as diagnosis
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, Priority, Size
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes import service as lanes
from invoicing.maintenance import carrying_out, service
from invoicing.maintenance.model import Window
from invoicing.maintenance.service import Planned, Wish
from workers.maintainer import Maintainer

from ..book import Book
from ..workers.crew import until

OLGA = Principal(uuid4(), Role.OPS, "Olga")
LANES = ("normal-small",)
NOW = timedelta(0)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
async def book(engine: AsyncEngine) -> Book:
    return await Book.open(engine)


@pytest.fixture
def maintainer(engine: AsyncEngine) -> Maintainer:
    return Maintainer(engine, settled_after=NOW)


async def planned(book: Book, begins: float = 30, minutes: float = 60, **more: Any) -> Window:
    """Plan a window that begins so many minutes from now."""
    found = await plan(book, begins, minutes, **more)
    return found.window


async def plan(book: Book, begins: float, minutes: float, **more: Any) -> Planned:
    start = datetime.now(UTC) + begins * MINUTE
    wish = {"lanes": LANES, "drain": True, "shift_promises": True, **more}
    async with transaction(book.engine) as session:
        asked = Wish(start, start + minutes * MINUTE, reason="The disks are replaced.", internal_reason="DB-7", **wish)
        return await service.plan(session, OLGA, asked)


async def forward(book: Book, window: Window, minutes: float) -> None:
    """Let time pass, as far as a window is concerned."""
    await book.do(
        "UPDATE maintenance SET begins = begins - CAST(:by AS interval), ends = ends - CAST(:by AS interval) "
        "WHERE id = :id",
        by=minutes * MINUTE,
        id=window.id,
    )


async def due_in(book: Book, minutes: float, **payload: Any) -> tuple[UUID, datetime]:
    """Submit a job that is due so many minutes from now."""
    job_id = await book.submit(**payload)
    values = {"left": minutes * MINUTE, "id": job_id}
    await book.do("UPDATE jobs SET promise_due = now() + CAST(:left AS interval) WHERE id = :id", **values)
    return job_id, (await book.row(job_id))["promise_due"]


async def endpoint(book: Book, customer_id: UUID | None = None, events: list[str] | None = None) -> UUID:
    endpoint_id = new_id()
    await book.do(
        "INSERT INTO endpoints (id, customer_id, url, events, secret, idempotency_key, body_hash) "
        "VALUES (:id, :customer, :name, :events, '', :name, '')",
        id=endpoint_id,
        name=f"https://example.com/{endpoint_id}",
        customer=customer_id or book.customer_id,
        events=events,
    )
    return endpoint_id


async def another(book: Book) -> UUID:
    """Add a customer without any jobs."""
    customer_id = new_id()
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, 'other', 'Other')", id=customer_id)
    return customer_id


async def messages(book: Book, event: str) -> list[tuple[UUID, dict[str, Any]]]:
    found = await book.scalar(
        "SELECT json_agg(json_build_array(customer_id, body) ORDER BY id)::text FROM messages WHERE event = :event",
        event=event,
    )
    return [(UUID(customer), json.loads(body)) for customer, body in json.loads(found or "[]")]


async def paused(book: Book) -> dict[str, Any]:
    async with book.engine.connect() as session:
        return {one.lane.name: one.pause for one in await lanes.standings(session) if one.pause}


async def end(book: Book, window: Window) -> None:
    async with transaction(book.engine) as session:
        await service.end(session, OLGA, window.id, "All done.")


async def test_those_it_touches_are_told_once_and_nobody_else(book: Book, maintainer: Maintainer) -> None:
    other = await another(book)
    for customer in (book.customer_id, other):
        await endpoint(book, customer)
    await endpoint(book, events=["job.dead"])
    await book.submit()
    window = await planned(book)
    await asyncio.gather(maintainer.round(), Maintainer(book.engine).round())
    await maintainer.round()
    ((customer, told),) = await messages(book, "maintenance.announced")
    assert customer == book.customer_id
    assert told["data"]["reason"] == "The disks are replaced."
    assert (told["data"]["lanes"], told["data"]["from"][:16]) == (["normal-small"], window.begins.isoformat()[:16])
    assert not {"DB-7", "Olga", "other"} & set(json.dumps(told).replace('"', " ").split())
    # who comes later is told when it is looked again
    await book.do("UPDATE jobs SET customer_id = :other", other=other)
    await book.do("DELETE FROM tally_changes")
    await book.do(
        "INSERT INTO tallies (customer_id, priority, size, waiting, work_s) VALUES (:other, 'normal', 'small', 1, 1)",
        other=other,
    )
    await maintainer.round()
    assert len(await messages(book, "maintenance.announced")) == 1
    await Maintainer(book.engine).round()
    assert [customer for customer, _ in await messages(book, "maintenance.announced")] == [book.customer_id, other]


async def test_who_used_the_lanes_lately_is_told_though_nothing_of_theirs_waits(
    book: Book, maintainer: Maintainer
) -> None:
    await endpoint(book)
    await book.do(
        "INSERT INTO waits (day, lane, customer_id, cause, ms) "
        "VALUES (current_date - 2, 'normal-small', :id, 'starting', 5), "
        "(current_date - 2, 'bulk-huge', :id, 'starting', 5)",
        id=book.customer_id,
    )
    await planned(book, lanes=("bulk-small",))
    await maintainer.round()
    assert await messages(book, "maintenance.announced") == []
    await planned(book)
    await maintainer.round()
    assert len(await messages(book, "maintenance.announced")) == 1


async def test_who_was_told_is_told_that_it_was_cancelled(book: Book, maintainer: Maintainer) -> None:
    await endpoint(book)
    await book.submit()
    window = await planned(book)
    unannounced = await planned(book)
    await end(book, unannounced)
    await maintainer.round()
    await end(book, window)
    await end(book, window)  # the second time changes nothing
    ((_, told),) = await messages(book, "maintenance.cancelled")
    assert told["data"]["id"] == str(window.id)
    await forward(book, window, 40)
    await maintainer.round()
    assert await paused(book) == {}


async def test_promises_move_by_the_length_before_it_begins_and_once(book: Book, maintainer: Maintainer) -> None:
    await endpoint(book)
    before, _ = await due_in(book, 20)
    inside, promised = await due_in(book, 45)
    beyond, later = await due_in(book, 600)
    elsewhere, _ = await due_in(book, 45, claimed_seconds=100)
    window = await planned(book)
    await asyncio.gather(*(Maintainer(book.engine, settled_after=NOW).round() for _ in range(3)))
    await maintainer.round()
    moved = {job["id"]: job["promise_due"] for job in await book.rows() if job["promise_changed_at"]}
    assert moved == {inside: promised + window.length, beyond: later + window.length}
    assert await book.events(inside) == [Event.ACCEPTED, Event.PROMISE_MOVED]
    ((_, told), _) = await messages(book, "job.promise_moved")
    assert told["data"]["reason"]["code"] == "paused"
    assert "Planned maintenance from" in told["data"]["reason"]["message"]
    assert "DB-7" not in json.dumps(told)
    for job_id in (before, elsewhere):
        assert await book.events(job_id) == [Event.ACCEPTED]
    # what comes meanwhile is found, too, and nothing is moved twice
    newcomer, promised = await due_in(book, 50)
    await maintainer.round()
    await maintainer.round()
    assert (await book.row(newcomer))["promise_due"] == promised + window.length
    assert (await book.row(beyond))["promise_due"] == later + window.length
    assert await book.scalar("SELECT shifted FROM maintenance") == 3


async def test_promises_are_left_alone_until_an_hour_before(book: Book, maintainer: Maintainer) -> None:
    job_id, promised = await due_in(book, 300)
    window = await planned(book, begins=240)
    await maintainer.round()
    assert (await book.row(job_id))["promise_due"] == promised
    await forward(book, window, 181)
    await maintainer.round()
    assert (await book.row(job_id))["promise_due"] == promised + window.length


async def test_many_promises_move_in_steps_and_a_step_that_fails_is_done_again(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_out, "PAGE", 3)
    jobs = [await due_in(book, 40 + place) for place in range(8)]
    window = await planned(book)
    for place in range(16):
        if place == 5:  # while it goes on, more than a step takes are submitted
            jobs += [await due_in(book, 40 + more) for more in range(5)]
        for lost in (True, False):  # each step is lost once before it is committed
            async with book.engine.connect() as session:
                await carrying_out.step(session, window.id, lambda _: None, look=True, settled_after=NOW)
                await (session.rollback() if lost else session.commit())
    for job_id, promised in jobs:
        assert (await book.row(job_id))["promise_due"] == promised + window.length
        assert (await book.events(job_id)).count(Event.PROMISE_MOVED) == 1


async def test_a_window_with_many_promises_to_move_holds_up_no_other(
    book: Book, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying_out, "PAGE", 1)
    for _ in range(30):
        await due_in(book, 45)
    many, other = await planned(book), await planned(book, lanes=("bulk-huge",))
    await forward(book, other, 31)
    assert await maintainer.round()
    assert set(await paused(book)) == {"bulk-huge"}
    assert 0 < await shifted(book, many) < 30
    while await maintainer.round():
        pass
    assert await shifted(book, many) == 30


async def shifted(book: Book, window: Window) -> int:
    found: int = await book.scalar("SELECT shifted FROM maintenance WHERE id = :id", id=window.id)
    return found


async def test_lanes_drain_at_the_beginning_say_why_and_go_on_at_the_end(book: Book, maintainer: Maintainer) -> None:
    running = await book.start(uuid4())
    job_id = await book.submit()
    window = await planned(book)
    await maintainer.round()
    assert await paused(book) == {}
    await forward(book, window, 31)
    await maintainer.round()
    held = await paused(book)
    assert set(held) == {"normal-small"}
    async with book.engine.connect() as session:
        jobs = await ledger.anybodys(session, [job_id])
        said = {
            language: (await diagnosis.explain(session, jobs, language=language))[job_id].cause
            for language in ("en", "de", "zh")
        }
    assert all(cause is not None and cause.code == "paused" for cause in said.values())
    texts = {language: cause.message for language, cause in said.items() if cause}
    until = f"{held['normal-small'].until.astimezone(UTC):%H:%M:%S}"
    for language, word in (("en", "Planned maintenance until"), ("de", "Geplante Wartung bis"), ("zh", "计划内维护至")):
        assert word in texts[language]
        assert until in texts[language]
    assert (await book.row(running.id))["state"] == "running"
    await forward(book, window, 60)
    await book.do("UPDATE pauses SET since = since - interval '2 h', until = until - interval '1 h'")
    await maintainer.round()
    assert await paused(book) == {}
    assert await book.scalar("SELECT ended_at IS NOT NULL FROM maintenance")
    assert await book.scalar("SELECT count(*) FROM pauses WHERE ended_at IS NULL") == 0


async def test_ended_early_it_lets_the_lanes_go_on_but_for_those_that_another_window_drains(
    book: Book, maintainer: Maintainer
) -> None:
    both = ("normal-small", "bulk-small")
    longer, shorter = await planned(book, minutes=90, lanes=both), await planned(book, minutes=60)
    for window in (longer, shorter):
        await forward(book, window, 31)
    await maintainer.round()
    assert set(await paused(book)) == set(both)
    job_id, promised = await due_in(book, 100)
    await maintainer.round()
    moved = (await book.row(job_id))["promise_due"]
    await end(book, longer)
    held = await paused(book)
    assert set(held) == {"normal-small"}
    assert held["normal-small"].until < promised - 9 * MINUTE
    await end(book, shorter)
    assert await paused(book) == {}
    assert (await book.row(job_id))["promise_due"] == moved > promised


async def test_a_pause_that_lasts_longer_is_left_alone(book: Book, maintainer: Maintainer) -> None:
    async with transaction(book.engine) as session:
        until = datetime.now(UTC) + timedelta(hours=9)
        await lanes.pause_lane(session, "normal-small", until, "It is looked into.", "ops:Olga")
    window = await planned(book)
    await forward(book, window, 31)
    await maintainer.round()
    await end(book, window)
    assert (await paused(book))["normal-small"].until == until


async def test_two_watchdogs_carry_a_window_out_from_its_beginning_to_its_end(book: Book) -> None:
    window = await planned(book, begins=0)
    watchdogs = [Maintainer(book.engine, every_s=0.05) for _ in range(2)]
    running = [asyncio.create_task(one.run()) for one in watchdogs]
    await until(lambda: book.scalar("SELECT count(*) > 0 FROM pauses"))
    await forward(book, window, 61)
    await until(lambda: book.scalar("SELECT ended_at IS NOT NULL FROM maintenance"))
    for one in watchdogs:
        one.stop()
    await asyncio.gather(*running)
    assert await paused(book) == {}
    assert await book.scalar("SELECT count(*) FROM pauses") == 1


async def test_a_preview_names_the_customers_and_writes_nothing(book: Book) -> None:
    await due_in(book, 45)
    await due_in(book, 5)
    await another(book)
    start = datetime.now(UTC) + 30 * MINUTE
    async with book.engine.connect() as session:
        wish = Wish(start, start + 60 * MINUTE, (), "A move.", "DB-7", drain=True, shift_promises=True)
        found = await service.plan(session, OLGA, wish)
        await session.rollback()
    ((customer, waiting, running, promises),) = [
        (one.customer, one.waiting, one.running, one.promises) for one in found.touched
    ]
    assert (customer, waiting, running, promises) == ("acme", 2, 0, 1)
    assert len(found.window.lanes) == len(Priority) * len(Size)
    assert await book.scalar("SELECT count(*) FROM maintenance") == 0
