"""A worker's host cut off from the ledger, the runway, or everything: its jobs run elsewhere, once, and it returns.

Nothing is refused or reset while a way is lost: packets vanish, as when a cable is pulled or a firewall forgets.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from ..campaign.observed import Request
from .observing import Attempt, Observer, beside, drill, invoice, until
from .site import LEDGER, RUNWAY, A, B, Site

figures = logging.getLogger(__name__)

LEASE_S = 10.0
RESCUE_S = 40.0
"""What is granted beyond the lease to find lost attempts, release them and begin anew; 1 to 3 s on a quiet machine."""

HOLDS_S = LEASE_S + 3.0
"""So long a way stays lost: longer than the lease, so that what ran is taken over meanwhile."""

RETURNS_S = 45.0
"""How soon after healing a worker must serve again; 1 to 4 s when quiet, and half a minute more for each connection
that it holds to be good, until a statement on it has run out of patience."""

NOTICES_S = 45.0
"""How soon a process must say that nothing comes any more, 10 to 12 s when quiet: none may wait for as long as TCP."""

Cut = Callable[[Site], None]


@contextmanager
def lost(cut: Cut, heal: Cut, site: Site) -> Iterator[float]:
    """Lose ways while the block runs; gives since when."""
    at = time.time()
    cut(site)
    try:
        yield at
    finally:
        heal(site)


FROM_THE_LEDGER = {
    "the ledger": (lambda site: site.network.lose_way(A, LEDGER), lambda site: site.network.find_way(A, LEDGER)),
    "everything": (lambda site: site.network.pull_plug(A), lambda site: site.network.plug_in(A)),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FROM_THE_LEDGER)
async def test_jobs_of_a_worker_cut_off_from_the_ledger_run_elsewhere_once(name: str, observer: Observer) -> None:
    site, draw = observer.site, random.Random(name)
    ours = await some_on(A, observer, draw)
    before = await observer.running_on(A, ours)
    meanwhile: list[Request] = []
    with lost(*FROM_THE_LEDGER[name], site) as cut:
        async with beside(lambda stop: customers_come(observer, draw, stop, meanwhile)):
            elsewhere = await taken_over(observer, before, cut)
            await asyncio.sleep(max(0.0, cut + HOLDS_S - time.time()))
    returned = await observer.served_after(time.time(), A, RETURNS_S)
    figures.info("%s: %.1f s from cut to running elsewhere, %.1f s from healing to serving", name, elsewhere, returned)
    assert elsewhere < LEASE_S + RESCUE_S
    await observer.ended([*ours, *meanwhile], 60)
    late = [one for one in await observer.attempts() if is_one_of(one, before)]
    assert {one.outcome for one in late} == {"lost"}, "who came too late changed something"
    await observer.all_well()


@pytest.mark.timeout(300)
async def test_a_worker_cut_off_from_the_runway_ends_what_it_has_and_others_do_the_rest(observer: Observer) -> None:
    site, draw = observer.site, random.Random("runway")
    ours = await some_on(A, observer, draw)
    before = await observer.running_on(A, ours)
    meanwhile: list[Request] = []
    cut, heal = lambda _: site.network.lose_way(A, RUNWAY), lambda _: site.network.find_way(A, RUNWAY)
    with lost(cut, heal, site) as at:
        async with beside(lambda stop: customers_come(observer, draw, stop, meanwhile)):
            await until(lambda: noticed(site, A, "worker.take_failed", at), NOTICES_S)
        await observer.ended([*ours, *meanwhile], 60)
    returned = await observer.served_after(time.time(), A, RETURNS_S)
    figures.info("the runway: %.1f s from healing to serving", returned)
    kept = [one for one in await observer.attempts() if is_one_of(one, before)]
    assert {one.outcome for one in kept} == {"succeeded"}, "it was not the ledger that was lost"
    await observer.all_well()


async def noticed(site: Site, name: str, action: str, since: float) -> bool:
    """Tell whether a process has logged an action since a moment."""
    return any(site.logged_at(entry) > since for entry in site.logged(name, action))


async def some_on(host: str, observer: Observer, draw: random.Random) -> list[Request]:
    """Ask for work of some seconds, with and without anything to save on the way, until a worker is at some of it."""
    ours: list[Request] = []
    deadline = time.monotonic() + 60
    while not await observer.running_on(host, ours):
        assert time.monotonic() < deadline, f"{host} takes no jobs"
        ours += await observer.program.orders([drill(6.0, draw, chunks) for chunks in (0, 30)])
        await asyncio.sleep(1.5)
    return ours


async def taken_over(observer: Observer, before: Sequence[Attempt], cut: float) -> float:
    """Wait until each job of some attempts runs or has run on B; gives the seconds from the cut to the last of them."""
    pid, ids = observer.site.pid(B), {one.job_id for one in before}

    async def all_elsewhere() -> list[Attempt] | None:
        found = [one for one in await observer.attempts() if one.job_id in ids and one.pid == pid]
        return found if {one.job_id for one in found} == ids else None

    return max(one.started_at for one in await until(all_elsewhere, 3 * LEASE_S)) - cut


async def customers_come(observer: Observer, draw: random.Random, stop: asyncio.Event, asked: list[Request]) -> None:
    """Ask for small work again and again: invoices of one series, and drills."""
    while not stop.is_set():
        asked += await observer.program.orders([invoice(), drill(0.2, draw)])
        await asyncio.sleep(3.0)


def is_one_of(one: Attempt, before: Sequence[Attempt]) -> bool:
    """Tell whether an attempt is among some that were seen before."""
    return any((one.job_id, one.number) == (other.job_id, other.number) for other in before)
