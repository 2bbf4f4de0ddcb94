"""The peer: arq tuned (polls every 10 ms, 200 jobs at once, keeps no results); not durable, and without a ledger.

`python -m benchmarks.peers.drain_arq REDIS_URL JOBS` enqueues, drains, and prints what that took as JSON.
"""

import asyncio
import sys
import time
from typing import Any

import uvloop
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker
from benchmarks.peers.said import say

_QUEUE = "bench:drain"
_AT_ONCE = 200
_ENQUEUED_TOGETHER = 50


async def noop(ctx: dict[str, Any]) -> None:
    """Do nothing, but remember when the first one did."""
    if not ctx["began"]:
        ctx["began"].append(time.perf_counter())


async def drain(url: str, jobs: int) -> None:
    """Enqueue and drain."""
    settings = RedisSettings.from_dsn(url)
    redis = await create_pool(settings)
    for first in range(0, jobs, _ENQUEUED_TOGETHER):
        count = min(_ENQUEUED_TOGETHER, jobs - first)
        await asyncio.gather(*(redis.enqueue_job("noop", _queue_name=_QUEUE) for _ in range(count)))
    context: dict[str, Any] = {"began": []}  # arq gives each job a copy
    worker = Worker(
        [noop],
        queue_name=_QUEUE,
        redis_settings=settings,
        burst=True,
        poll_delay=0.01,
        max_jobs=_AT_ONCE,
        keep_result=0,
        handle_signals=False,
        ctx=context,
    )
    await worker.main()
    say(jobs, await redis.zcard(_QUEUE), time.perf_counter() - context["began"][0])
    await worker.close()
    await redis.aclose()


if __name__ == "__main__":
    uvloop.run(drain(sys.argv[1], int(sys.argv[2])))
