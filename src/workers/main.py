"""The processes: `invoicing worker`, `dispatcher` and `watchdog` land here."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Protocol

import uvloop
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.diagnosis import service as diagnosis
from invoicing.kit import logs
from invoicing.kit.db import make_engine
from invoicing.kit.egress import Egress, networks_of
from invoicing.kit.ids import new_id
from invoicing.kit.smtp import Mailer, server_of
from invoicing.outbox.carrying import Hooks, Mails
from invoicing.outbox.relaying import Bounds
from invoicing.settings import Settings
from invoicing.transport import Transport, connect
from workers.dispatcher import Dispatcher
from workers.keeper import Keeper
from workers.lane_worker import LaneWorker, stop_on_signals
from workers.launching import launched_ahead
from workers.learner import Learner
from workers.maintainer import Maintainer
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.observer import Observer
from workers.outbox import Relay
from workers.retention import Sweeper, settled
from workers.terms import Terms
from workers.watchdog import Watchdog

_PATIENCE_S = 30.0
"""Seconds that a statement may take. All of them are short; without an end, a loop whose server lost its power would
wait for the answer for ever, while the heartbeat, on a connection of its own, goes on to say that all is well."""

_MAILS = Bounds(messages=4, probes=1, each=2)
"""An SMTP server takes few at a time; each holds a message under its lease only while it is being handed in."""


class _Loop(Protocol):
    """What goes on until it is told to stop."""

    async def run(self) -> None: ...

    def stop(self) -> None: ...


def worker(settings: Settings) -> None:
    """Serve the lanes until SIGTERM."""
    logs.to_stderr(settings.log_level)
    uvloop.run(_worker(settings))


def dispatcher(settings: Settings) -> None:
    """Fill the runways until SIGTERM."""
    logs.to_stderr(settings.log_level)
    uvloop.run(_dispatcher(settings))


def watchdog(settings: Settings) -> None:
    """Put right what was lost, learn from what is done and tell those who want to know, until SIGTERM."""
    logs.to_stderr(settings.log_level)
    uvloop.run(_watchdog(settings))


def lease_of(settings: Settings) -> timedelta:
    """Say how long a worker may be silent before what it has is given to another."""
    return timedelta(seconds=settings.lease_s)


async def _worker(settings: Settings) -> None:
    url, _ = settings.servers()
    of_kinds = {} if settings.rules_dir is None else {"rules_dir": str(settings.rules_dir)}
    around = Surroundings(url, settings.drills, of_kinds)
    nursery = Nursery(around, Terms(settings.slots).children, launched=launched_ahead())
    async with _servers(settings, "worker") as (engine, transport):
        try:
            load = partial(load_kinds, drills=settings.drills)  # takes most of a second, as does the first child
            kinds, _ = await asyncio.gather(asyncio.to_thread(load), nursery.start())
            lane_worker = LaneWorker(
                new_id(), engine, url, transport, kinds, nursery, settings.slots, lease=lease_of(settings)
            )
            stop_on_signals(lane_worker)
            await lane_worker.main()
        finally:
            await nursery.close()


async def _dispatcher(settings: Settings) -> None:
    url, _ = settings.servers()
    async with _servers(settings, "dispatcher") as (engine, transport):
        process = Dispatcher(engine, url, transport)
        _on_signals(process.stop)
        await process.run()


async def _watchdog(settings: Settings) -> None:
    async with _servers(settings, "watchdog") as (engine, transport):
        load = partial(load_kinds, drills=True)
        sweeper = Sweeper(engine, partial(settled, load, settings.keep))
        process, learner = Watchdog(engine, transport, load, lease=lease_of(settings)), Learner(engine)
        keeper, observer = Keeper(engine, diagnosis.explain), Observer(engine)
        maintainer = Maintainer(engine, load)
        loops: list[_Loop] = [process, learner, sweeper, keeper, observer, maintainer, *_relays(settings, engine)]
        _on_signals(*(loop.stop for loop in loops))
        await asyncio.gather(*(loop.run() for loop in loops))


def _relays(settings: Settings, engine: AsyncEngine) -> list[Relay]:
    """Send over every channel that is set up."""
    url, _ = settings.servers()
    relays = [Relay(engine, url, Hooks(Egress(allowed=networks_of(settings.egress_allow))))]
    if settings.smtp_url is not None and settings.mail_from is not None:
        mails = Mails(Mailer(server_of(settings.smtp_url)), settings.mail_from)
        relays.append(Relay(engine, url, mails, _MAILS))
    return relays


@asynccontextmanager
async def _servers(settings: Settings, name: str) -> AsyncIterator[tuple[AsyncEngine, Transport]]:
    """Connect a process to PostgreSQL and Redis while the block runs."""
    url, redis_url = settings.servers()
    engine = make_engine(url, name=f"invoicing-{name}", patience_s=_PATIENCE_S)
    transport = Transport(connect(redis_url))
    try:
        yield engine, transport
    finally:
        await transport.close()
        await engine.dispose()


def _on_signals(*stops: Callable[[], None]) -> None:
    def stop() -> None:
        for each in stops:
            each()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
