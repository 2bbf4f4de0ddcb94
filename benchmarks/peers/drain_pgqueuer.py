"""The peer: pgqueuer (PostgreSQL, durable) drains no-op jobs with one process, on uvloop, in large batches.

`python -m benchmarks.peers.drain_pgqueuer DATABASE_URL JOBS` enqueues, drains, and prints what that took as JSON.
"""

import sys
import time

import asyncpg
import uvloop
from benchmarks.peers.said import say
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

_ENQUEUED_TOGETHER = 1_000
_BATCH = 1_000
"""Jobs claimed together: from 100 to 1,000 it gets faster here, beyond it does not."""


async def drain(url: str, jobs: int) -> None:
    """Enqueue and drain."""
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    worker = PgQueuer(AsyncpgDriver(connection))
    began: list[float] = []

    async def noop(_job: Job) -> None:
        if not began:
            began.append(time.perf_counter())

    worker.entrypoint("noop")(noop)
    for first in range(0, jobs, _ENQUEUED_TOGETHER):
        count = min(_ENQUEUED_TOGETHER, jobs - first)
        await worker.qm.queries.enqueue(["noop"] * count, [None] * count, [0] * count)
    await worker.qm.run(batch_size=_BATCH, mode=QueueExecutionMode.drain)
    ended = time.perf_counter()
    left = sum(row.count for row in await Queries(AsyncpgDriver(connection)).queue_size())
    say(jobs, left, ended - began[0])
    await connection.close()


if __name__ == "__main__":
    uvloop.run(drain(sys.argv[1], int(sys.argv[2])))
