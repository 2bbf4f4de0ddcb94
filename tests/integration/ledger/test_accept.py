"""One request, one job: however often, from wherever and with whomever together it is sent."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.model import Accepted
from invoicing.kit.db import make_engine
from invoicing.kit.problems import Problem

from ..book import Book

_ONE_MORE = """
import asyncio, sys
from uuid import UUID
from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.model import NewJob, Priority, Size
from invoicing.kit.db import make_engine
from invoicing.kit.ids import new_id
from datetime import timedelta

async def main():
    url, customer, key = sys.argv[1:]
    engine = make_engine(url)
    acceptor = Acceptor(engine)
    await acceptor.start()
    jobs = [NewJob(i, UUID(customer), i, "drill", None, Priority.NORMAL, Size.SMALL, 1.0, 1.0, timedelta(0),
            timedelta(0), None, None, b"{}", f"{key}-{n}", b"hash") for n in range(50) for i in [new_id()]]
    for accepted in await asyncio.gather(*map(acceptor.accept, jobs)):
        print(accepted.job_id, accepted.replayed)
    await acceptor.stop()
    await engine.dispose()

asyncio.run(main())
"""


@pytest.fixture
async def acceptor(engine: AsyncEngine) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor(engine)
    await acceptor.start()
    yield acceptor
    await acceptor.stop()


async def test_the_same_request_from_twenty_connections_at_once_is_one_job(book: Book, database_url: str) -> None:
    engines = [make_engine(database_url, pool_size=1) for _ in range(20)]
    acceptors = [Acceptor(engine) for engine in engines]
    for acceptor in acceptors:
        await acceptor.start()
    requests = [book.request(key="same", seconds=1) for _ in range(20)]

    accepted = await asyncio.gather(*(a.accept(r) for a, r in zip(acceptors, requests, strict=True)))

    for acceptor, engine in zip(acceptors, engines, strict=True):
        await acceptor.stop()
        await engine.dispose()
    assert len({each.job_id for each in accepted}) == 1
    assert sorted(each.replayed for each in accepted) == [False] + [True] * 19
    assert len(await book.rows()) == 1


async def test_two_processes_that_accept_the_same_requests_agree_on_every_job(book: Book, database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", _ONE_MORE, database_url, str(book.customer_id), "key", stdout=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [(await process.communicate())[0].decode().splitlines() for process in processes]

    assert [line.split()[0] for line in said[0]] == [line.split()[0] for line in said[1]]
    fresh = [line for lines in said for line in lines if line.endswith("False")]
    assert len(fresh) == len(await book.rows()) == 50


async def test_the_same_request_twice_in_one_group_is_one_job(book: Book, acceptor: Acceptor) -> None:
    pairs = [book.request(key=f"key-{n % 7}", seconds=1) for n in range(21)]
    accepted = await asyncio.gather(*map(acceptor.accept, pairs))
    assert len({each.job_id for each in accepted}) == len(await book.rows()) == 7
    assert sum(not each.replayed for each in accepted) == 7


async def test_another_request_under_a_used_key_is_refused_and_changes_nothing(book: Book, acceptor: Acceptor) -> None:
    first = await acceptor.accept(book.request(key="key", seconds=1))
    before = await book.row(first.job_id)

    with pytest.raises(Problem) as refused:
        await acceptor.accept(book.request(key="key", seconds=2))

    assert refused.value.code == "idempotency_key_reused"
    assert [dict(before)] == [dict(row) for row in await book.rows()]


async def test_another_customer_may_use_the_same_key(book: Book, acceptor: Acceptor) -> None:
    other = uuid4()
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, 'other', 'Other')", id=other)
    request = book.request(key="key", seconds=1)
    await acceptor.accept(request)
    accepted = await acceptor.accept(replace(book.request(key="key", seconds=1), customer_id=other))
    assert not accepted.replayed


async def test_a_request_that_cannot_be_written_takes_nobody_down_with_it(book: Book, acceptor: Acceptor) -> None:
    requests = [book.request(seconds=1) for _ in range(5)]
    requests[2] = replace(requests[2], reference="a\0b")

    answers = await asyncio.gather(*map(acceptor.accept, requests), return_exceptions=True)

    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, False, True, True]
    assert len(await book.rows()) == 4


async def test_a_job_its_key_its_payload_and_its_first_row_exist_together(book: Book) -> None:
    request = book.request(key="key", seconds=3)
    await book.accept(request)
    tables = ("jobs", "idempotency_keys", "payload_parts", "timeline")
    assert [await book.scalar(f"SELECT count(*) FROM {table}") for table in tables] == [1, 1, 1, 1]
    assert await book.scalar("SELECT body FROM payload_parts") == request.body


async def test_what_was_sent_before_the_end_is_answered_before_the_end(book: Book) -> None:
    """A web process that stops must not leave a customer without an answer to a request that it has written."""
    acceptor = Acceptor(book.engine)
    await acceptor.start()
    answers = [asyncio.ensure_future(acceptor.accept(book.request(seconds=1))) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # they are being written

    await acceptor.stop()
    await asyncio.wait(answers, timeout=1)

    assert all(answer.done() for answer in answers)
    assert len(await book.rows()) == 10
