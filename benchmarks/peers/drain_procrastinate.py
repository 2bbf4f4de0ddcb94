"""The peer: procrastinate (PostgreSQL, durable) drains no-op jobs with one process, 50 at a time.

`python -m benchmarks.peers.drain_procrastinate DATABASE_URL JOBS` enqueues, drains, and prints what that took as JSON.
"""

import sys
import time

import uvloop
from benchmarks.peers.said import say
from procrastinate import App, PsycopgConnector

_ENQUEUED_TOGETHER = 1_000
_AT_ONCE = 50


async def drain(url: str, jobs: int) -> None:
    """Enqueue and drain."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=20))
    began: list[float] = []

    async def noop() -> None:
        if not began:
            began.append(time.perf_counter())

    task = app.task(noop)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for first in range(0, jobs, _ENQUEUED_TOGETHER):
            count = min(_ENQUEUED_TOGETHER, jobs - first)
            await task.batch_defer_async(*({} for _ in range(count)))
        await app.run_worker_async(concurrency=_AT_ONCE, wait=False, listen_notify=False, install_signal_handlers=False)
        ended = time.perf_counter()
        left = sum(queue["todo"] + queue["doing"] for queue in await app.job_manager.list_queues_async())
        say(jobs, left, ended - began[0])


if __name__ == "__main__":
    uvloop.run(drain(sys.argv[1], int(sys.argv[2])))
