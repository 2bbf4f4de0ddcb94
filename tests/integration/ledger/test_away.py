"""Who counts as away: a server that cannot be used, and nobody who only has to wait for somebody else."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.model import Settlement, Succeeded, judge
from invoicing.kit.db import driver, is_away, make_engine, may_pass, transaction
from invoicing.kit.embedded import EmbeddedPostgres, hold
from invoicing.kit.http.edge import problem_of
from invoicing.kit.problems import Problem
from workers.settling import Settler

from ..book import SOON, Book


async def failure(attempt: Awaitable[Any]) -> Exception:
    """Give the error that something ends with."""
    try:
        await attempt
    except Exception as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it worked")


async def ask(engine: AsyncEngine, statement: str, *, raw: bool = False) -> Any:
    """Ask by SQLAlchemy, which wraps errors, or by the driver, which does not."""
    async with engine.connect() as session:
        if raw:
            return await (await driver(session)).fetchval(statement)
        return await session.scalar(text(statement))


@pytest.fixture
async def hasty(database_url: str) -> AsyncIterator[AsyncEngine]:
    """Wait for locks a short time only."""
    engine = make_engine(database_url, pool_size=8)

    @event.listens_for(engine.sync_engine, "connect")
    def hurry(connection: Any, _record: object) -> None:
        connection.cursor().execute("SET lock_timeout = '300ms'")
        connection.commit()

    yield engine
    await engine.dispose()


@pytest.mark.parametrize("raw", [False, True])
async def test_a_lock_that_somebody_holds_for_long_is_no_outage(book: Book, hasty: AsyncEngine, raw: bool) -> None:  # noqa: FBT001 - pytest names its arguments
    job = await book.submit(seconds=0)
    async with transaction(book.engine) as session:
        await session.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": job})
        error = await failure(ask(hasty, f"SELECT 1 FROM jobs WHERE id = '{job}' FOR UPDATE", raw=raw))
    assert not is_away(error), error
    assert may_pass(error)
    answer = problem_of(error, "r")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


async def test_of_requests_written_together_a_lock_answers_the_one_concerned_alone(
    book: Book, hasty: AsyncEngine
) -> None:
    acceptor = Acceptor(hasty, flushers=1)
    requests = [book.request(seconds=0) for _ in range(20)]
    held = requests[3]
    async with transaction(book.engine) as session:
        await session.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        await session.execute(
            text("INSERT INTO idempotency_keys (customer_id, key, job_id, body_hash) VALUES (:c, :k, :j, '')"),
            {"c": held.customer_id, "k": held.idempotency_key, "j": uuid4()},
        )
        together = [asyncio.ensure_future(acceptor.accept(request)) for request in requests]
        await asyncio.sleep(0)
        await acceptor.start()
        answers = await asyncio.gather(*together, return_exceptions=True)
        await session.rollback()
    await acceptor.stop()
    refused = [answer for answer in answers if isinstance(answer, Problem)]
    assert [answer.code for answer in refused] == ["in_flight"]
    assert answers.index(refused[0]) == 3
    assert await book.scalar("SELECT count(*) FROM jobs") == 19


async def test_of_ends_written_together_a_lock_holds_up_the_one_concerned_alone(book: Book, hasty: AsyncEngine) -> None:
    claims = [await book.start(uuid4()) for _ in range(4)]
    settler = Settler(hasty)
    settler.start()
    ended = [Settlement(claim.id, claim.attempt, judge(Succeeded({}), 0, SOON, 0.0)) for claim in claims]
    async with transaction(book.engine) as session:
        await session.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": claims[1].id})
        writing = [asyncio.ensure_future(settler.settle([one])) for one in ended]
        for _ in range(200):
            if await book.scalar("SELECT count(*) FROM jobs WHERE state = 'succeeded'") == 3:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the others waited too")
        assert [one.done() for one in writing] == [True, False, True, True]
    assert await asyncio.gather(*writing) == [{claim.id} for claim in claims]
    assert await book.scalar("SELECT count(*) FROM jobs WHERE error IS NOT NULL") == 0
    await settler.stop()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(("how", "away"), [("pg_terminate_backend", True), ("pg_cancel_backend", False)])
async def test_a_person_may_end_a_connection_or_a_statement_alone(
    book: Book,
    hasty: AsyncEngine,
    how: str,
    away: bool,  # noqa: FBT001 - pytest names its arguments
    raw: bool,  # noqa: FBT001 - same
) -> None:
    sleeping = asyncio.ensure_future(failure(ask(hasty, "SELECT pg_sleep(30)", raw=raw)))
    found = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
    while not await book.scalar(found):  # noqa: ASYNC110 - the database cannot set an event
        await asyncio.sleep(0.02)
    await book.do(f"SELECT {how}(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'")
    error = await sleeping
    assert (is_away(error), may_pass(error)) == (away, not away), error


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("wrong", ["SELECT 1/0", "SELECT lastval()", "SELECT 1 FROM nowhere", "SELECT repeat('x', -1"])
async def test_a_mistake_in_what_was_asked_is_no_outage(hasty: AsyncEngine, wrong: str, raw: bool) -> None:  # noqa: FBT001 - pytest names its arguments
    error = await failure(ask(hasty, wrong, raw=raw))
    assert (is_away(error), may_pass(error)) == (False, False), error


def test_a_driver_confused_by_the_servers_last_word_says_that_it_is_away() -> None:
    error = asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")
    assert is_away(error)
    assert problem_of(error, "r").status == 503


@pytest.mark.parametrize("change", ["ALLOW_CONNECTIONS false", "CONNECTION LIMIT 0"])
async def test_a_database_that_takes_no_connections_is_away(postgres_url: str, database_url: str, change: str) -> None:
    name = database_url.rpartition("/")[2]
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f"ALTER DATABASE {name} {change}")
    await connection.close()
    engine = make_engine(database_url)
    assert is_away(await failure(ask(engine, "SELECT 1")))
    await engine.dispose()


@pytest.fixture
def server(roomy_path: Path) -> Iterator[EmbeddedPostgres]:
    """Start a server of this test's own."""
    with hold(roomy_path / "home") as home:
        postgres = EmbeddedPostgres(home, "invoicing")
        yield postgres
        postgres.stop()


async def test_a_server_is_away_while_it_stops_when_it_is_gone_and_as_long_as_it_only_stands_by(
    server: EmbeddedPostgres,
) -> None:
    url = await asyncio.to_thread(server.start)
    engine = make_engine(url)
    async with engine.connect() as session:
        await session.execute(text("CREATE TABLE kept (n int)"))
        await session.commit()
        postmaster = int((server.files.data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGTERM)  # "smart": goes when everybody has left, and lets nobody in
        refused = None
        while not isinstance(refused, asyncpg.CannotConnectNowError):  # the same as at its start
            refused = await failure(asyncpg.connect(url))
        assert is_away(refused)
        os.kill(postmaster, signal.SIGINT)
        assert is_away(await failure(session.scalar(text("SELECT pg_sleep(30)"))))
    await asyncio.to_thread(server.stop)
    assert is_away(await failure(ask(engine, "SELECT 1")))

    (server.files.data / "standby.signal").touch()
    assert await asyncio.to_thread(server.start) == url
    for raw in (False, True):
        assert is_away(await failure(ask(engine, "INSERT INTO kept VALUES (1)", raw=raw)))
    await engine.dispose()
