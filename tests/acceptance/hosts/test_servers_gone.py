"""The hosts of both servers off the network: every process notices, callers are told, and all goes on by itself."""

import asyncio
import random
import time
from functools import partial

import pytest

from .observing import Observer, drill, invoice, until
from .site import LEDGER, RUNWAY, A, B, Site
from .test_cut_off import NOTICES_S, RETURNS_S, figures, lost, noticed


@pytest.mark.timeout(300)
async def test_when_the_servers_hosts_are_gone_everyone_notices_and_goes_on_after(observer: Observer) -> None:
    site, draw = observer.site, random.Random("servers")
    await observer.ended(await observer.program.orders([invoice(), drill(0.2, draw)]), 60)
    with lost(lambda _: unplug(site), lambda _: plug_in(site), site) as at:
        waiting = asyncio.create_task(observer.program.order(invoice()))
        for process, action in SAYS_SO.items():
            await until(partial(noticed, site, process, action, at), NOTICES_S)
            figures.info("%s noticed after %.1f s", process, time.time() - at)
        assert await observer.refused_since(at, NOTICES_S), "the web process left its callers without an answer"
    healed = time.time()
    returned = [await observer.served_after(healed, host, RETURNS_S) for host in (A, B)]
    figures.info("the servers: %s s from healing to serving", ", ".join(f"{one:.1f}" for one in returned))
    await observer.ended([await waiting], RETURNS_S)
    await observer.all_well()


SAYS_SO = {
    "dispatcher": "dispatcher.beside_failed",
    "watchdog": "watchdog.round_failed",
    A: "heartbeat.failed",
    B: "heartbeat.failed",
}
"""What each process logs when a server does not answer."""


def unplug(site: Site) -> None:
    """Take the servers off the network."""
    for host in (LEDGER, RUNWAY):
        site.network.pull_plug(host)


def plug_in(site: Site) -> None:
    """Put them back."""
    for host in (LEDGER, RUNWAY):
        site.network.plug_in(host)
