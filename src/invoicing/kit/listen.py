"""Listening to PostgreSQL's notifications, through reconnections."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg

log = logging.getLogger(__name__)

_PROBE_S = 10.0
_MOST_BACKOFF_S = 2.0


def plain_url(url: str) -> str:
    """Drop a driver's name from a URL, as asyncpg wants it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


@asynccontextmanager
async def listening(
    url: str, channels: Sequence[str], told: Callable[[str, str], None], *, missed: Callable[[], None]
) -> AsyncIterator[None]:
    """Call `told(channel, payload)` for each notification while the block runs.

    After a lost connection, and once at the start, `missed()` is called: something may have happened, look yourself.
    """
    task = asyncio.create_task(_listen_for_ever(plain_url(url), channels, told, missed), name="listen")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _listen_for_ever(
    url: str, channels: Sequence[str], told: Callable[[str, str], None], missed: Callable[[], None]
) -> None:
    backoff = 0.05
    while True:
        try:
            connection = await asyncpg.connect(
                url, timeout=10, server_settings={"application_name": "invoicing-listen"}
            )
            try:
                for channel in channels:
                    await connection.add_listener(channel, lambda _c, _p, name, payload: told(name, payload))
                gone = asyncio.Event()
                connection.add_termination_listener(lambda _c, gone=gone: gone.set())
                missed()
                backoff = 0.05
                while not gone.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(gone.wait(), _PROBE_S)
                    await connection.fetchval("SELECT 1", timeout=_PROBE_S)  # a dead one may look alive until asked
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            log.warning("lost the notifications: %s", error, extra={"action": "listen.lost"})
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MOST_BACKOFF_S)
