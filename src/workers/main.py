"""The processes: `invoicing worker`, `dispatcher` and `watchdog` land here."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial
from typing import Protocol

import uvloop
from prometheus_client.registry import Collector
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.alerts.carrying import Alerts
from invoicing.alerts.chatting import Chats, available
from invoicing.alerts.letters import letter_of
from invoicing.app import load_kinds
from invoicing.diagnosis import service as diagnosis
from invoicing.diagnosis import words
from invoicing.incidents import alerting
from invoicing.jobs.tracing import close, traces_of
from invoicing.kit import logs
from invoicing.kit.db import make_engine
from invoicing.kit.egress import ANYWHERE, Egress, networks_of
from invoicing.kit.exposing import LoopLag, exposed
from invoicing.kit.ids import new_id
from invoicing.kit.smtp import Mailer, server_of
from invoicing.outbox.carrying import Hooks, Mails
from invoicing.outbox.letters import letter_of as customers_letter_of
from invoicing.outbox.model import Channel
from invoicing.outbox.relaying import Bounds
from invoicing.settings import Settings
from invoicing.transport import Transport, connect
from workers.channels import Channels
from workers.deadman import Deadman
from workers.detector import Detector
from workers.dispatcher import Dispatcher
from workers.figures import OfADispatcher, OfAWatchdog, OfAWorker
from workers.herald import Herald
from workers.keeper import Keeper
from workers.lane_worker import LaneWorker, stop_on_signals
from workers.launching import launched_ahead
from workers.learner import Learner
from workers.maintainer import Maintainer
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.observer import Observer
from workers.outbox import Relay
from workers.pulse import Pulses
from workers.retention import Sweeper, settled
from workers.terms import Terms
from workers.usher import Usher
from workers.watchdog import Watchdog

_PATIENCE_S = 30.0
"""Seconds that a statement may take. All of them are short; without an end, a loop whose server lost its power would
wait for the answer for ever, while the heartbeat, on a connection of its own, goes on to say that all is well."""

_MAILS = Bounds(messages=4, probes=1, each=2)
"""An SMTP server takes few at a time; each holds a message under its lease only while it is being handed in."""


_ALERTS = Bounds(messages=64, probes=16, each=2, lease=timedelta(seconds=30))
"""Few, but none waits for another's receiver; one that was lost with its relay is not to wait for long."""


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
    given = {"rules_dir": settings.rules_dir, "drill_url": settings.drill_url}
    of_kinds = {name: str(value) for name, value in given.items() if value is not None}
    traces = traces_of("worker", settings.traces)
    around = Surroundings(url, settings.drills, of_kinds, traced=traces is not None)
    nursery = Nursery(around, Terms(settings.slots).children, launched=launched_ahead())
    async with _servers(settings, "worker") as (engine, transport):
        try:
            load = partial(load_kinds, drills=settings.drills)  # takes most of a second, as does the first child
            kinds, _ = await asyncio.gather(asyncio.to_thread(load), nursery.start())
            lane_worker = LaneWorker(
                *(new_id(), engine, url, transport, kinds, nursery, settings.slots),
                lease=lease_of(settings),
                traces=traces,
            )
            stop_on_signals(lane_worker)
            with _exposed(settings, OfAWorker(lane_worker, nursery)):
                await lane_worker.main()
        finally:
            await nursery.close()
            await close(traces)


async def _dispatcher(settings: Settings) -> None:
    url, _ = settings.servers()
    traces = traces_of("dispatcher", settings.traces)
    async with _servers(settings, "dispatcher") as (engine, transport):
        process = Dispatcher(engine, url, transport, traces)
        _on_signals(process.stop)
        with _exposed(settings, OfADispatcher(process)):
            await process.run()
        await close(traces)


async def _watchdog(settings: Settings) -> None:
    async with _servers(settings, "watchdog") as (engine, transport):
        load, pulses = partial(load_kinds, drills=True), Pulses()
        sweeper = Sweeper(engine, partial(settled, load, settings.keep), pulses=pulses)
        process = Watchdog(engine, transport, load, lease=lease_of(settings), pulses=pulses)
        learner, keeper = Learner(engine, pulses=pulses), Keeper(engine, diagnosis.explain, pulses=pulses)
        observer, relays = Observer(engine, pulses=pulses), _relays(settings, engine, pulses)
        mails = settings.smtp_url is not None and settings.mail_from is not None
        detector = Detector(engine, alerting.tell, calls=True, mails=mails, pulses=pulses)
        deadman = _deadman(settings, pulses)
        channels, maintainer = Channels(engine, settings.alertmanager_url), Maintainer(engine, load, pulses=pulses)
        lookouts: list[_Loop] = [process, learner, sweeper, keeper, observer, detector, channels, maintainer]
        herald, usher = Herald(engine, pulses=pulses), Usher(engine, pulses=pulses)
        loops: list[_Loop] = [*lookouts, herald, usher, *relays, *([deadman] if deadman else ())]
        _on_signals(*(loop.stop for loop in loops))
        with _exposed(settings, OfAWatchdog(pulses, process, keeper, observer, relays, deadman)):
            await asyncio.gather(*(loop.run() for loop in loops))


def _relays(settings: Settings, engine: AsyncEngine, pulses: Pulses) -> list[Relay]:
    """Send over every channel that is set up."""
    url, _ = settings.servers()
    egress = _egress(settings)
    trusted = {settings.alertmanager_url: Egress(allowed=ANYWHERE)} if settings.alertmanager_url else {}
    alerts = Alerts(egress, settings.public_url, trusted, Chats(egress) if available() else None)
    relays = [Relay(engine, url, Hooks(egress), pulses=pulses), Relay(engine, url, alerts, _ALERTS, pulses)]
    if settings.smtp_url is not None and settings.mail_from is not None:
        server, sender = server_of(settings.smtp_url), settings.mail_from
        told = partial(customers_letter_of, retell=words.retell)
        relays.append(Relay(engine, url, Mails(Mailer(server), sender, told), _MAILS, pulses))
        written = partial(letter_of, public_url=settings.public_url)
        relays.append(Relay(engine, url, Mails(Mailer(server), sender, written, [Channel.ALERT_MAIL]), _MAILS, pulses))
    return relays


def _egress(settings: Settings) -> Egress:
    return Egress(allowed=networks_of(settings.egress_allow))


def _deadman(settings: Settings, pulses: Pulses) -> Deadman | None:
    return None if settings.deadman_url is None else Deadman(settings.deadman_url, _egress(settings), pulses.late)


def _exposed(settings: Settings, process: Collector) -> AbstractContextManager[object]:
    """Tell a monitoring system of a process while the block runs, where a port is set for that."""
    if settings.metrics_port is None:
        return nullcontext()
    told = (process, LoopLag(asyncio.get_running_loop()))
    return exposed(told, settings.metrics_host, settings.metrics_port, settings.metrics_token)


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
