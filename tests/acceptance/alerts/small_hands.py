"""A worker for the lanes of small jobs alone, run as `small_hands.py DATABASE REDIS`; it ends with its parent."""

import asyncio
import os
import sys
import threading

from invoicing.app import load_kinds
from invoicing.jobs.model import Size
from invoicing.kit.db import make_engine
from invoicing.kit.ids import new_id
from invoicing.lanes.model import LANES
from invoicing.transport import Transport, connect
from workers.lane_worker import LaneWorker, stop_on_signals
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.terms import Terms

SLOTS = 1


async def work(url: str, redis_url: str) -> None:
    """Serve them until SIGTERM."""
    engine, transport = make_engine(url), Transport(connect(redis_url))
    children = Nursery(Surroundings(url, drills=True, settings={}), Terms(SLOTS).children)
    await children.start()
    worker = LaneWorker(new_id(), engine, url, transport, load_kinds(drills=True), children, SLOTS)
    worker.lanes = [lane for lane in LANES if lane.size is Size.SMALL]
    stop_on_signals(worker)
    await worker.main()
    await children.close()
    await transport.close()
    await engine.dispose()


def leave_with_parent() -> None:
    """End when standard input does."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=leave_with_parent, daemon=True).start()
    asyncio.run(work(*sys.argv[1:]))
