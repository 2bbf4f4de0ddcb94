"""The rounds of the dispatcher that leads, one by one: no other one runs beside."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Size, Succeeded
from invoicing.kit.db import driver, make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.leading import Lead
from invoicing.lanes.surroundings import surroundings

from ..book import Book
from .test_dispatching import add_worker


async def test_newcomers_do_not_keep_it_from_seeing_that_the_runway_is_used_up(database_url: str) -> None:
    engine = make_engine(database_url)
    book = await Book.open(engine)
    worker = await add_worker(book, 1)
    await book.accept(*(book.request(seconds=0.02) for _ in range(100)))
    async with engine.connect() as session, transaction(engine) as reading:
        connection = await driver(session)
        lead = Lead(await surroundings(reading), {})
        lead.meter.pace[Size.SMALL] = 0.02
        released = (await lead.round(connection)).released
        assert len(released) > 4  # so many that it takes its time before it looks again
        again: Sequence[ledger.Released] = ()
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(use_up(book, worker, released))
            while not again:
                lead.notices.hear(f"+{new_id()}:{new_id()}:normal:small")
                again = (await lead.round(connection)).released
    await engine.dispose()


async def use_up(book: Book, worker: UUID, released: Sequence[ledger.Released]) -> None:
    for claim in await book.claim(worker, [one.ticket for one in released]):
        await book.settle(claim, Succeeded({}))
