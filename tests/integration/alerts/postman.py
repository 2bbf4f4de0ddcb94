"""A relay of alerts in a process of its own (run as `postman.py DATABASE`), to be killed."""

import asyncio
import sys
from datetime import timedelta

from invoicing.alerts.carrying import Alerts
from invoicing.kit.db import make_engine
from invoicing.kit.egress import Egress, networks_of
from invoicing.outbox.relaying import Bounds
from workers.outbox import Relay


async def deliver(url: str) -> None:
    """Deliver until killed."""
    carrier = Alerts(Egress(allowed=networks_of("127.0.0.0/8")))
    await Relay(make_engine(url), url, carrier, Bounds(lease=timedelta(seconds=2))).run()


if __name__ == "__main__":
    asyncio.run(deliver(sys.argv[1]))
