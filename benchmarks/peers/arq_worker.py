"""The peer: arq as it comes (polls every 0.5 s), and tuned (every 10 ms); neither is durable, neither has a ledger.

`python -m benchmarks.peers.arq_worker REDIS_URL POLL_S` serves; a job writes when it started to where it is asked.
"""

import sys
import time
from typing import Any

from arq.connections import RedisSettings
from arq.worker import Worker


async def note(ctx: dict[str, Any], name: str) -> None:
    """Say when this started."""
    await ctx["redis"].rpush(name, repr(time.time()))


def main() -> None:
    """Serve."""
    url, poll = sys.argv[1:]
    Worker(
        [note], redis_settings=RedisSettings.from_dsn(url), poll_delay=float(poll), max_jobs=100, keep_result=0
    ).run()


if __name__ == "__main__":
    main()
