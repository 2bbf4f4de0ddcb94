"""Servers that neither answer nor refuse: what was asked fails as when they are away, and later serves again."""

import os
import signal
import time
from contextlib import suppress
from uuid import uuid4

import pytest
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import driver, is_away, make_engine
from invoicing.transport import Transport, connect


async def test_what_is_never_answered_fails_as_when_the_ledger_is_away_until_there_is_another_connection(
    database_url: str,
) -> None:
    engine = make_engine(database_url, pool_size=1, overflow=0, patience_s=0.5)
    (stopped,) = await _pid(engine)
    os.kill(stopped, signal.SIGSTOP)
    try:
        assert await _pid(engine) == []
        found: list[int] = []
        while not found:
            found = await _pid(engine)
        assert found != [stopped]
    finally:
        os.kill(stopped, signal.SIGCONT)
    await engine.dispose()


async def test_a_redis_that_never_answers_is_away_and_serves_again_when_it_does(redis_url: str) -> None:
    transport = Transport(connect(redis_url, patience_s=0.3))
    ticket = (uuid4(), 1)
    stopped = int((await transport.redis.info("server"))["process_id"])
    os.kill(stopped, signal.SIGSTOP)
    try:
        with pytest.raises(RedisError):
            await transport.put([("normal-small", ticket, time.time())])
    finally:
        os.kill(stopped, signal.SIGCONT)
    while ticket not in await transport.present("normal-small"):
        with suppress(RedisError):
            await transport.put([("normal-small", ticket, time.time())])
    await transport.close()


async def _pid(engine: AsyncEngine) -> list[int]:
    """Ask who serves the connection; nobody, where the error says that the ledger is away."""
    try:
        async with engine.connect() as session:
            return [await (await driver(session)).fetchval("SELECT pg_backend_pid()")]
    except Exception as error:
        if not is_away(error):
            raise
        return []
