"""A customer that is paused starts nothing more, nobody else notices, and it goes on by itself."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from asyncpg import Connection

from invoicing.customers.model import Principal, Role
from invoicing.jobs import service as ledger
from invoicing.kit.clock import now
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes import pausing, store
from invoicing.lanes.leading import Lead
from invoicing.lanes.model import Lane
from invoicing.lanes.store import Paused
from invoicing.lanes.store.totals import totals
from invoicing.lanes.surroundings import accounts, surroundings

from ..book import NORMAL_SMALL, Book
from .crew import Crew, until
from .test_dispatching import add_worker, lies_ready, other_customer

OPS = Principal(new_id(), Role.OPS, "test")
STARTED = "SELECT count(*) FROM jobs WHERE customer_id = :id AND started_at IS NOT NULL"
RELEASED = "SELECT count(*) FROM jobs WHERE customer_id = :id AND released_at IS NOT NULL"


async def pause(crew: Crew, end: datetime | None = None) -> None:
    async with transaction(crew.engine) as session:
        await pausing.pause_customer(session, OPS, "acme", end or now() + timedelta(hours=1), "You asked us to.")


async def resume(crew: Crew) -> None:
    async with transaction(crew.engine) as session:
        await pausing.resume_customer(session, OPS, "acme", "It is well again.")


async def test_others_go_on_while_it_starts_nothing_until_it_is_resumed(crew: Crew, book: Book) -> None:
    other = await other_customer(book, "other")
    await crew.worker()
    await pause(crew)
    own = await book.accept(*(book.request(seconds=0) for _ in range(5)))

    await crew.ended(*await other.accept(*(other.request(seconds=0) for _ in range(20))))

    assert await book.scalar(STARTED, id=book.customer_id) == 0
    await resume(crew)
    assert {row["attempt"] for row in await crew.ended(*own)} == {1}


async def test_what_of_it_lies_ready_is_taken_back_and_makes_room_for_others(crew: Crew, book: Book) -> None:
    other = await other_customer(book, "other")
    await book.accept(*(book.request(seconds=1) for _ in range(20)))
    await other.accept(*(other.request(seconds=1) for _ in range(20)))
    await add_worker(book, 4)
    await lies_ready(crew, 8)
    assert await book.scalar(RELEASED, id=book.customer_id) > 1

    await pause(crew)

    assert await book.scalar(RELEASED, id=book.customer_id) == 0
    await until(lambda: _is(book, RELEASED, other.customer_id, at_least=8))
    assert await book.scalar(RELEASED, id=book.customer_id) == 0


async def _is(book: Book, count: str, customer: UUID, at_least: int) -> bool:
    return bool(await book.scalar(count, id=customer) >= at_least)


async def test_it_goes_on_by_itself_when_its_pause_ends_and_not_before(crew: Crew, book: Book) -> None:
    await crew.worker()
    end = await book.scalar("SELECT now() + interval '0.7 s'")
    await pause(crew, end)
    (row,) = await crew.ended(await book.submit(seconds=0))
    assert row["started_at"] >= end


async def test_the_dispatcher_wakes_at_the_end_of_a_pause_and_reads_pauses_where_they_change_alone(
    crew: Crew, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    await crew.stop(crew.leader)
    read: list[Paused] = []
    paused = store.paused

    async def noted(connection: "Connection[Any]") -> Paused:
        read.append(await paused(connection))
        return read[-1]

    monkeypatch.setattr(store, "paused", noted)
    await book.submit(seconds=0)
    await add_worker(book, 4)
    await pause(crew, await book.scalar("SELECT now() + interval '0.3 s'"))
    async with transaction(crew.engine) as session:
        lead = Lead(await surroundings(session), await accounts(session))
    async with crew.engine.connect() as session:
        connection = await driver(session)
        first = await lead.round(connection)
        assert (len(first.released), 0 < first.wait_s <= 0.3) == (0, True)
        await lead.round(connection)
        assert [list(one.customers) for one in read] == [[book.customer_id]]
        await asyncio.sleep(0.3)
        assert len((await lead.round(connection)).released) == 1
        await pause(crew)
        assert await lead.round(connection)
        assert len(read) == 2


async def test_a_pause_waits_for_a_round_under_way_and_takes_back_what_it_released(crew: Crew, book: Book) -> None:
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        job = await book.submit(seconds=0)
        async with connection.transaction():
            assert await ledger.release(connection, [(job, 1, NORMAL_SMALL)], look.withdrawals)
            pausing_it = asyncio.create_task(pause(crew))
            await asyncio.sleep(0.1)
            assert not pausing_it.done()
    await pausing_it
    assert (await book.row(job))["released_at"] is None


@pytest.mark.parametrize("change", ["pause", "pause_and_resume"])
async def test_what_was_chosen_before_a_pause_is_not_released_after_it(crew: Crew, book: Book, change: str) -> None:
    job = await book.submit(seconds=0)
    async with crew.engine.connect() as session:
        connection = await driver(session)
        look = await ledger.look(connection, {}, 1, under_way=False)
        await pause(crew)
        if change == "pause_and_resume":
            await resume(crew)
        assert not await ledger.release(connection, [(job, 1, NORMAL_SMALL)], look.withdrawals)
    assert (await book.row(job))["released_at"] is None


async def test_its_waiting_work_is_nobodys_work_meanwhile(crew: Crew, book: Book) -> None:
    other = await other_customer(book, "other")
    await book.accept(*(book.request(seconds=0.5) for _ in range(6)))
    await other.submit(seconds=0.5)
    await pause(crew)
    async with crew.engine.connect() as session:
        told = {one.customer_id: (one.waiting, one.work_s) for one in await store.tallies(session)}
        assert told == {book.customer_id: (6, 0.0), other.customer_id: (1, 0.5)}
        assert await totals(session) == {Lane(*NORMAL_SMALL): (7, 0.5)}
        assert await store.waiting_of(session, book.customer_id) == 6
