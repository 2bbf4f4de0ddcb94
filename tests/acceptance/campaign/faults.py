"""What goes wrong, and when: a plan made from a seed, and the hands that carry it out."""

import asyncio
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import redis.asyncio
from redis.exceptions import RedisError

from .site import Site

log = logging.getLogger(__name__)

LEASE_S = 10.0
"""The lease of an attempt: a worker that is stopped for longer loses what it runs."""


@dataclass(frozen=True)
class Fault:
    """What is to happen: when (seconds from the start), for how long, and to which of several (a place in [0, 1))."""

    at: float
    kind: str
    lasts: float
    which: float


@dataclass(frozen=True)
class Happened:
    """What did happen (seconds since 1970): from when to when; `to` names whom, "" when nobody was there to be hit."""

    kind: str
    to: str
    since: float
    until: float


_INSTANT = (0.0, 0.0)
_SHORT = (0.5, 6.0)
_PAST_THE_LEASE = (LEASE_S + 2, LEASE_S + 8)
_OUTAGE = (3.0, 15.0)

_LASTS: Mapping[str, tuple[float, float]] = {
    "kill web": _INSTANT,
    "kill dispatcher": _INSTANT,
    "kill watchdog": _INSTANT,
    "kill worker": _INSTANT,
    "kill every worker": _INSTANT,
    "kill child": _INSTANT,
    "end worker in order": _INSTANT,
    "stop web": _SHORT,
    "stop dispatcher": _SHORT,
    "stop watchdog": _SHORT,
    "stop worker": _SHORT,
    "stop worker past its lease": _PAST_THE_LEASE,
    "stop child": _SHORT,
    "restart postgres, fast": _INSTANT,
    "restart postgres, immediate": _INSTANT,
    "kill postgres": _INSTANT,
    "kill a connection's postgres": _INSTANT,
    "stop postgres": _OUTAGE,
    "flush redis": _INSTANT,
    "kill redis": _INSTANT,
    "flush and kill redis": _INSTANT,
    "stop redis": _OUTAGE,
    "stop postgres and redis": _OUTAGE,
    "kill postgres and redis": _INSTANT,
}
RARE = "cut the power"
"""Everything goes at once and must be started by hand: that takes long, so it happens only while there is time."""

_TIME_FOR_RARE_S = 120.0

KINDS = (*_LASTS, RARE)


def plan(seed: int, seconds: float, apart: float, kinds: Sequence[str] = KINDS) -> Sequence[Fault]:
    """Draw faults over some seconds, `apart` seconds on average; every kind comes before any comes again."""
    return list(_drawn(random.Random(seed), seconds, apart, kinds))


def _drawn(draw: random.Random, seconds: float, apart: float, kinds: Sequence[str]) -> Iterator[Fault]:
    at, bag = draw.expovariate(1 / apart), list[str]()
    while at < seconds:
        if not bag:
            bag = [kind for kind in kinds if kind != RARE or seconds - at > _TIME_FOR_RARE_S]
            draw.shuffle(bag)
        kind = bag.pop()
        yield Fault(at, kind, draw.uniform(*_LASTS.get(kind, _INSTANT)), draw.random())
        at += draw.expovariate(1 / apart)


class Hands:
    """Carries faults out; whatever was stopped goes on in the end, also when the campaign breaks off."""

    def __init__(self, site: Site) -> None:
        """Break a site."""
        self._site = site
        self._stopped: set[int] = set()
        self.happened: list[Happened] = []

    async def carry_out(self, faults: Sequence[Fault]) -> None:
        """Do all of it at its time; those that last overlap with those after them, which wait for the rare one only."""
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at - time.monotonic()))
                if fault.kind == RARE:
                    before = time.monotonic()
                    await self._do(fault)
                    began += time.monotonic() - before
                else:
                    group.create_task(self._do(fault))

    def let_go(self) -> None:
        """Have everything go on that is stopped."""
        for pid in list(self._stopped):
            self._signal(pid, signal.SIGCONT)
        self._stopped.clear()

    async def _do(self, fault: Fault) -> None:
        since = time.time()
        hit = await _ACTS.get(fault.kind, Hands._hit)(self, fault)
        self.happened.append(Happened(fault.kind, hit, since, time.time()))
        log.info("%s: %s, for %.1f s", fault.kind, hit or "nobody there", time.time() - since)

    async def _hit(self, fault: Fault) -> str:
        """Send a part the signal that its fault names."""
        how, _, role = fault.kind.partition(" ")
        found = self._site.processes(role)
        if not found:
            return ""
        one = found[int(fault.which * len(found))]
        await self._strike(how, [one.pid], fault.lasts)
        return one.name

    async def _past_its_lease(self, fault: Fault) -> str:
        return await self._hit(Fault(fault.at, "stop worker", fault.lasts, fault.which))

    async def _end_worker(self, fault: Fault) -> str:
        workers = self._site.processes("worker")
        if not workers:
            return ""
        one = workers[int(fault.which * len(workers))]
        self._signal(one.pid, signal.SIGTERM)
        return one.name

    async def _every_worker(self, _fault: Fault) -> str:
        workers = self._site.processes("worker")
        await self._strike("kill", [one.pid for one in workers], 0)
        return ", ".join(one.name for one in workers)

    async def _child(self, fault: Fault) -> str:
        found = [pid for worker in self._site.processes("worker") for pid in _children(worker.pid)]
        if not found:
            return ""
        pid = found[int(fault.which * len(found))]
        await self._strike(fault.kind.partition(" ")[0], [pid], fault.lasts)
        return str(pid)

    async def _restart_postgres(self, fault: Fault) -> str:
        number = signal.SIGINT if fault.kind.endswith("fast") else signal.SIGQUIT
        for server in self._site.processes("postgres"):
            self._signal(server.pid, number)
            return server.name
        return ""

    async def _backend(self, fault: Fault) -> str:
        """Kill a process that serves a connection: PostgreSQL then ends all others and recovers."""
        found = [pid for server in self._site.processes("postgres") for pid in _children(server.pid)]
        if not found:
            return ""
        self._signal(found[int(fault.which * len(found))], signal.SIGKILL)
        return "postgres"

    async def _stop_servers(self, fault: Fault) -> str:
        """Have servers neither answer nor refuse, as a network does that lost the way to them."""
        roles = fault.kind.removeprefix("stop ").split(" and ")
        servers = [one for role in roles for one in self._site.processes(role)]
        with self._held([pid for one in servers for pid in (one.pid, *_children(one.pid))]):
            await asyncio.sleep(fault.lasts)
        return ", ".join(one.name for one in servers)

    async def _kill_servers(self, fault: Fault) -> str:
        roles = fault.kind.removeprefix("kill ").split(" and ")
        servers = [one for role in roles for one in self._site.processes(role)]
        await self._strike("kill", [one.pid for one in servers], 0)
        return ", ".join(one.name for one in servers)

    async def _flush(self, fault: Fault) -> str:
        url = self._site.told.get("redis_url")
        if url is None:
            return ""
        client = redis.asyncio.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        try:
            await client.flushall()
        except (RedisError, OSError):
            return ""
        finally:
            await client.aclose()
        if "kill" in fault.kind:
            await self._strike("kill", [one.pid for one in self._site.processes("redis")], 0)
        return "redis"

    async def _cut_power(self, _fault: Fault) -> str:
        self.let_go()
        await self._site.cut_power()
        return "everything"

    async def _strike(self, how: str, pids: Sequence[int], lasts: float) -> None:
        if how == "kill":
            for pid in pids:
                self._signal(pid, signal.SIGKILL)
            return
        with self._held(pids):
            await asyncio.sleep(lasts)

    @contextmanager
    def _held(self, pids: Sequence[int]) -> Iterator[None]:
        for pid in pids:
            self._signal(pid, signal.SIGSTOP)
        self._stopped.update(pids)
        try:
            yield
        finally:
            for pid in pids:
                self._signal(pid, signal.SIGCONT)
            self._stopped.difference_update(pids)

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Send a signal, unless whoever it is for has gone: its number may be a stranger's by now."""
        with suppress(ProcessLookupError, PermissionError):
            if number is signal.SIGCONT or self._site.owns(pid):
                os.kill(pid, number)


_ACTS: Mapping[str, Callable[[Hands, Fault], Awaitable[str]]] = {
    "kill every worker": Hands._every_worker,
    "kill child": Hands._child,
    "stop child": Hands._child,
    "end worker in order": Hands._end_worker,
    "stop worker past its lease": Hands._past_its_lease,
    "restart postgres, fast": Hands._restart_postgres,
    "restart postgres, immediate": Hands._restart_postgres,
    "kill postgres": Hands._kill_servers,
    "kill a connection's postgres": Hands._backend,
    "stop postgres": Hands._stop_servers,
    "flush redis": Hands._flush,
    "kill redis": Hands._kill_servers,
    "flush and kill redis": Hands._flush,
    "stop redis": Hands._stop_servers,
    "stop postgres and redis": Hands._stop_servers,
    "kill postgres and redis": Hands._kill_servers,
    RARE: Hands._cut_power,
}
"""What does each kind of fault; the others send a signal to a part."""


def _children(pid: int) -> Sequence[int]:
    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []
