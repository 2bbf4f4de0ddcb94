"""A connection to the ledger that neither answers nor breaks: it is given up, and the next one serves."""

import os
import signal

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import driver, is_away, make_engine


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


async def _pid(engine: AsyncEngine) -> list[int]:
    """Ask who serves the connection; nobody, where the error says that the ledger is away."""
    try:
        async with engine.connect() as session:
            return [await (await driver(session)).fetchval("SELECT pg_backend_pid()")]
    except Exception as error:
        if not is_away(error):
            raise
        return []
