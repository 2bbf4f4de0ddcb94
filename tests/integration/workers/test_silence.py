"""A connection to the ledger that neither answers nor breaks: it is given up, and the next one serves."""

import os
import signal

import pytest
from sqlalchemy import text

from invoicing.kit.db import driver, is_away, make_engine


async def test_a_statement_that_is_never_answered_ends_as_when_the_ledger_is_away(database_url: str) -> None:
    engine = make_engine(database_url, pool_size=1, overflow=0, patience_s=0.5)
    async with engine.connect() as session:
        pid = int(await session.scalar(text("SELECT pg_backend_pid()")) or 0)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(TimeoutError) as raised:
            async with engine.connect() as session:
                await (await driver(session)).fetchval("SELECT 1")
        assert is_away(raised.value)
        async with engine.connect() as session:
            assert await session.scalar(text("SELECT pg_backend_pid()")) != pid
    finally:
        os.kill(pid, signal.SIGCONT)
    await engine.dispose()
