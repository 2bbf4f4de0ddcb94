"""A worker of the rehearsal's kinds with short leases, and (run as `station.py DATABASE REDIS SLOTS`) its process."""

import asyncio
import importlib.util
import sys
from datetime import timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import make_engine
from invoicing.kit.ids import new_id
from invoicing.transport import Transport, connect
from workers.lane_worker import LaneWorker, stop_on_signals
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.terms import Terms

CHILD = Path(__file__).with_name("rehearsal.py")
LEASE = timedelta(seconds=3)

_spec = importlib.util.spec_from_file_location("rehearsal", CHILD)
assert _spec is not None
assert _spec.loader is not None
_rehearsal = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_rehearsal)
KINDS = _rehearsal.KINDS


def nursery(database_url: str, slots: int) -> Nursery:
    """Make a nursery of children that know these kinds."""
    return Nursery(Surroundings(database_url, drills=True, settings={}), Terms(slots).children, program=(str(CHILD),))


def station(engine: AsyncEngine, url: str, transport: Transport, children: Nursery, slots: int) -> LaneWorker:
    """Make a worker."""
    return LaneWorker(new_id(), engine, url, transport, KINDS, children, slots, lease=LEASE)


async def work(url: str, redis_url: str, slots: int) -> None:
    """Serve the lanes until SIGTERM."""
    engine = make_engine(url)
    transport = Transport(connect(redis_url))
    children = nursery(url, slots)
    await children.start()
    worker = station(engine, url, transport, children, slots)
    stop_on_signals(worker)
    await worker.main()
    await children.close()
    await transport.close()
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3])))
