"""A relay in a process of its own (run as `postman.py DATABASE LEASE_SECONDS`), to be killed."""

import asyncio
import sys
from datetime import timedelta

from invoicing.kit.db import make_engine
from invoicing.kit.egress import Egress, networks_of
from invoicing.outbox.carrying import Hooks
from invoicing.outbox.relaying import Bounds
from workers.outbox import Relay


async def deliver(url: str, lease_s: float) -> None:
    """Deliver until killed."""
    bounds = Bounds(lease=timedelta(seconds=lease_s))
    carrier = Hooks(Egress(allowed=networks_of("127.0.0.0/8")))
    await Relay(make_engine(url), url, carrier, bounds).run()


if __name__ == "__main__":
    asyncio.run(deliver(sys.argv[1], float(sys.argv[2])))
