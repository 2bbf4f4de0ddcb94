"""A worker whose event loop is blocked still proves its life, keeps its jobs, and shows what is wrong with it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from ..book import Book
from .crew import Crew

_BLOCKED = timedelta(seconds=1)

_READ = """
    SELECT now() - beat_at AS beat, now() - loop_beat_at AS loop_beat, lease_until
    FROM workers, jobs WHERE state = 'running'
"""


@dataclass(frozen=True)
class Signs:
    """How long ago a worker's thread and its loop were last heard of, and until when its job is leased to it."""

    beat: timedelta
    loop_beat: timedelta
    lease_until: datetime


async def test_a_blocked_event_loop_is_told_from_a_dead_worker(crew: Crew, book: Book) -> None:
    await crew.worker()
    job = await book.submit(seconds=60, chunks=600, claimed_seconds=0.5)
    await crew.running(job)

    def look() -> tuple[Signs, Signs]:
        first = last = asyncio.run(read(crew.url))
        end = time.monotonic() + 20
        while time.monotonic() < end and not (
            last.lease_until > first.lease_until and last.loop_beat - last.beat > _BLOCKED
        ):
            time.sleep(0.1)
            last = asyncio.run(read(crew.url))
        return first, last

    with ThreadPoolExecutor(1) as thread:
        first, last = thread.submit(look).result()  # blocks this loop, in which the worker runs

    assert last.lease_until > first.lease_until
    assert last.loop_beat - last.beat > _BLOCKED
    await book.cancel(job)
    await crew.ended(job)


async def read(url: str) -> Signs:
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow(_READ)
    await connection.close()
    assert row is not None
    return Signs(**row)
