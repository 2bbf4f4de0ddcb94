"""A worker whose event loop is blocked still proves its life, keeps its jobs, and shows what is wrong with it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from ..book import Book
from .crew import Crew


async def test_a_blocked_event_loop_is_told_from_a_dead_worker(crew: Crew, book: Book) -> None:
    await crew.worker()
    job = await book.submit(seconds=60, chunks=600, claimed_seconds=0.5)
    await crew.running(job)

    def look() -> tuple[float, float, float]:
        time.sleep(1.5)
        return asyncio.run(read())

    async def read() -> tuple[float, float, float]:
        connection = await asyncpg.connect(crew.url)
        row = await connection.fetchrow("""
            SELECT extract(epoch FROM now() - beat_at), extract(epoch FROM now() - loop_beat_at),
                   extract(epoch FROM lease_until - now())
            FROM workers, jobs WHERE state = 'running'
        """)
        await connection.close()
        assert row is not None
        return float(row[0]), float(row[1]), float(row[2])

    with ThreadPoolExecutor(1) as thread:
        beat, loop_beat, lease_left = thread.submit(look).result()  # blocks this loop, in which the worker runs

    assert beat < 1
    assert loop_beat > 1
    assert lease_left > 2
    await book.cancel(job)
    await crew.ended(job)
