"""Hearing what was said in PostgreSQL's notifications while a block ran: all of it, and nothing of before."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import transaction
from invoicing.kit.listen import listening

_END = "the_end_of_a_test"
_PATIENCE_S = 10.0


@asynccontextmanager
async def hearing(engine: AsyncEngine, channels: Sequence[str]) -> AsyncIterator[list[tuple[str, str]]]:
    """Fill a list with `(channel, payload)` in the order of their commits; it is whole when the block has ended."""
    heard: list[tuple[str, str]] = []
    ready, ended = asyncio.Event(), asyncio.Event()

    def told(channel: str, payload: str) -> None:
        if channel == _END:
            ended.set()
        else:
            heard.append((channel, payload))

    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    async with listening(url, [*channels, _END], told, missed=ready.set):
        await asyncio.wait_for(ready.wait(), _PATIENCE_S)
        yield heard
        async with transaction(engine) as session:
            await session.execute(text(f"NOTIFY {_END}"))
        await asyncio.wait_for(ended.wait(), _PATIENCE_S)
