"""The dispatcher as a process that counts what it does: `python -m benchmarks.leader DATABASE REDIS`, until SIGTERM."""

import asyncio
import json
import resource
import signal
import sys
import time
from typing import Any

import asyncpg

from invoicing.kit.db import make_engine
from invoicing.lanes.leading import Lead, Round
from invoicing.transport import Transport, connect
from workers.dispatcher import Dispatcher


class Count:
    """Rounds, how long they took, and what they released."""

    def __init__(self) -> None:
        """Count the rounds of every lead from now on."""
        self.rounds, self.released, self.asked, self.busy_s = 0, 0, 0, 0.0
        original = Lead.round

        async def counted(lead: Lead, connection: "asyncpg.Connection[Any]") -> Round:
            began = time.perf_counter()
            done = await original(lead, connection)
            self.busy_s += time.perf_counter() - began
            self.rounds += 1
            self.released += len(done.released)
            self.asked += len(done.asked)
            return done

        Lead.round = counted  # type: ignore[assignment, method-assign]  # the very rounds are counted

    def __str__(self) -> str:
        """Write it as JSON, with the CPU of this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return json.dumps({**self.__dict__, "cpu_s": used.ru_utime + used.ru_stime})


async def lead(url: str, redis_url: str) -> None:
    """Lead until SIGTERM; each SIGUSR1 has the counts told."""
    count = Count()
    engine, transport = make_engine(url), Transport(connect(redis_url))
    dispatcher = Dispatcher(engine, url, transport)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, dispatcher.stop)
    loop.add_signal_handler(signal.SIGUSR1, lambda: print(count, flush=True))
    print(count, flush=True)
    await dispatcher.run()
    await transport.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(lead(*sys.argv[1:]))
