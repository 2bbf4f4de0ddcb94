"""Working on the database directly: which one, and one transaction on it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from invoicing.cli.faults import NOT_REACHABLE, Fault
from invoicing.cli.run_file import RunFile
from invoicing.kit.db import Session, is_away, make_engine, transaction
from invoicing.settings import read

Result = TypeVar("Result")


def database_of(home: Path) -> str:
    """Find the database: INVOICING_DATABASE_URL, else that of what runs in the home folder."""
    running = RunFile.of(home).read() or {}
    found = read().database_url or running.get("database_url")
    if not found:
        raise Fault(
            f"No database: INVOICING_DATABASE_URL is not set, and nothing runs in {home}.",
            "Start `invoicing up`, or set the variable.",
            NOT_REACHABLE,
        )
    return str(found)


def in_transaction(url: str, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """Do some work in one transaction."""

    async def run() -> Result:
        engine = make_engine(url, pool_size=1, overflow=0, name="invoicing-cli")
        try:
            async with transaction(engine) as session:
                return await work(session)
        finally:
            await engine.dispose()

    try:
        return asyncio.run(run())
    except Exception as error:
        if not is_away(error):
            raise
        raise Fault(f"The database does not answer: {error}.", "Run `invoicing doctor`.", NOT_REACHABLE) from error
