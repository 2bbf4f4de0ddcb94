"""The peer: arq with one queue for all, or a queue each for small and large jobs; CPU burns in a pool of processes.

`python -m benchmarks.peers.arq_lanes REDIS_URL QUEUE JOBS_AT_ONCE PROCESSES NICE FOLDER` serves a queue, polling every
10 ms. A small job writes when it began to where it is asked; a large one leaves in FOLDER how much CPU it had.
"""

import asyncio
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from arq.connections import RedisSettings
from arq.worker import Worker
from benchmarks.burning import burn

_LONGEST_S = 7_200


async def small(ctx: dict[str, Any], name: str) -> None:
    """Say when this began, and wait a moment, as ours do."""
    await ctx["redis"].set(name, repr(time.time()))
    await asyncio.sleep(0.01)


async def large(ctx: dict[str, Any], name: str, seconds: float) -> None:
    """Burn CPU in the pool."""
    await asyncio.get_running_loop().run_in_executor(ctx["pool"], burn, ctx["folder"], name, seconds)


def main() -> None:
    """Serve."""
    url, queue, at_once, processes, nice, folder = sys.argv[1:]
    context: dict[str, Any] = {"folder": folder}
    if int(processes):
        context["pool"] = ProcessPoolExecutor(int(processes), initializer=os.nice, initargs=(int(nice),))
    Worker(
        [small, large],
        queue_name=queue,
        redis_settings=RedisSettings.from_dsn(url),
        poll_delay=0.01,
        max_jobs=int(at_once),
        job_timeout=_LONGEST_S,
        keep_result=0,
        ctx=context,
    ).run()


if __name__ == "__main__":
    main()
