"""What dies, and how soon its work runs again: workers that are killed or told to end, and a Redis that forgets."""

import asyncio
import random
import signal
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.service import Service, running, starting, wait_until_warm, waiting
from benchmarks.submitting import Sender
from benchmarks.surroundings import Servers, call, ops_key, servers

from invoicing.lanes.model import LANES
from invoicing.transport import Transport, connect, ticket_of

SLOTS = 2
LEASES_S = (10, 3)
"""The lease as it comes, and one of somebody in a hurry."""

_BEATS = 5
_DRAINING_SLOTS = 4
_LANE = "normal-small"
_LONG = {"kind": "drill", "payload": {"seconds": 600, "chunks": 2_400}}
_BRIEF_S = 0.02
_BRIEF = {"kind": "bench.brief", "payload": {"seconds": _BRIEF_S}}
_LOOK_EVERY_S = 0.02
_WITHIN_S = 180.0
_BETWEEN_FLUSHES_S = 4.0
Found = TypeVar("Found")

_RUNS_ON = """
SELECT pid FROM jobs JOIN workers ON workers.id = worker_id JOIN attempts ON job_id = jobs.id AND number = attempt
WHERE jobs.id = $1 AND state = 'running' AND progress_done > 0
"""

_BEGAN_AGAIN = "SELECT extract(epoch FROM started_at)::float8 FROM attempts WHERE job_id = $1 AND number = 2"

_ENDED = "SELECT true FROM jobs WHERE id = $1 AND finished_at IS NOT NULL"

_RELEASED = """
SELECT id || ':' || attempt + 1 FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL AND released_at <= to_timestamp($1)
"""

_UNFINISHED = "SELECT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)"

_ACCOUNT = """
SELECT count(*) FILTER (WHERE state = 'succeeded') AS done, (SELECT count(*) FROM attempts) AS attempts FROM jobs
"""


@dataclass
class Crew:
    """Two workers: as soon as one is gone the next is started, as whatever supervises them does."""

    service: Service
    around: Servers
    stack: ExitStack
    members: list["subprocess.Popen[bytes]"]

    def fill(self) -> None:
        """Start those that are missing."""
        while len(self.members) < 2:
            self.members.append(self.stack.enter_context(starting(self.service, self.around, SLOTS)))

    def settle(self) -> None:
        """Wait until none has anything to do but jobs."""
        for one in self.members:
            wait_until_warm(one.pid, SLOTS)

    def strike(self, pid: int, how: signal.Signals) -> float:
        """Send one of them a signal and start its successor; gives when (epoch, seconds)."""
        (struck,) = [one for one in self.members if one.pid == pid]
        at = time.time()
        struck.send_signal(how)
        self.members.remove(struck)
        self.fill()
        return at


@dataclass(frozen=True)
class Flushed:
    """What an emptied Redis cost: seconds and lost tickets of each time, and what became of the jobs in the end."""

    took_s: Sequence[float]
    lost: Sequence[int]
    waiting: Sequence[int]
    unfinished: int
    twice: int


def run(pace: Pace) -> Table:
    """Kill workers with each lease, have as many end in order, then empty Redis while jobs wait."""
    killed = {lease_s: _struck(pace.kills, lease_s, signal.SIGKILL) for lease_s in LEASES_S}
    ended = _struck(pace.kills, LEASES_S[0], signal.SIGTERM)
    flushed = _flushed(pace)
    table = Table(
        "From the blow until the work runs again (s); two workers, the successor of one that dies starts at once",
        ("what", "times", "p50", "p99", "max"),
    )
    for lease_s, found in killed.items():
        _add(table, f"SIGKILL to a worker, lease {lease_s} s: its job runs elsewhere", found)
    _add(table, "SIGTERM to a worker: its job runs elsewhere", ended)
    least, most = min(flushed.waiting), max(flushed.lost)
    _add(table, f"FLUSHALL with {least:,} jobs or more waiting, up to {most} of them on the runway", flushed.took_s)
    for lease_s, found in killed.items():
        table.bar(
            f"runs elsewhere after SIGKILL, the worst (s): lease {lease_s} s + 2", max(found), at_most=lease_s + 2
        )
    table.bar("runs elsewhere after SIGTERM, the worst (s)", max(ended), at_most=2)
    table.bar("all tickets back after FLUSHALL, the worst (s)", max(flushed.took_s), at_most=5)
    table.bar("jobs that ran twice after FLUSHALL", flushed.twice, at_most=0)
    table.bar("jobs that did not succeed after FLUSHALL", flushed.unfinished, at_most=0)
    return table


def _add(table: Table, what: str, found: Sequence[float]) -> None:
    table.add(what, str(len(found)), *(f"{_at(found, share):.2f}" for share in (0.5, 0.99, 1.0)))


def _at(found: Sequence[float], share: float) -> float:
    ordered = sorted(found)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def _struck(times: int, lease_s: int, how: signal.Signals) -> list[float]:
    with servers() as plain, ExitStack() as stack:
        around = replace(plain, settings={"INVOICING_LEASE_S": str(lease_s)})
        service = stack.enter_context(waiting(around, SLOTS))
        crew = Crew(service, around, stack, [])
        crew.fill()
        return asyncio.run(_each(crew, times, lease_s, how))


async def _each(crew: Crew, times: int, lease_s: int, how: signal.Signals) -> list[float]:
    """Strike again and again, each time at another moment between two beats."""
    chance = random.Random(11)
    connection = await asyncpg.connect(crew.around.database_url)
    found = []
    for _ in range(times):
        crew.settle()
        found.append(await _once(connection, crew, chance.uniform(0, lease_s / _BEATS), how))
    await connection.close()
    return found


async def _once(connection: "asyncpg.Connection[Any]", crew: Crew, later_s: float, how: signal.Signals) -> float:
    url, key = f"{crew.service.url}/v1/jobs", crew.around.key
    job = uuid.UUID(call("POST", url, key, _LONG, {"Idempotency-Key": str(uuid.uuid4())})["id"])
    pid: int = await _until(lambda: connection.fetchval(_RUNS_ON, job))
    await asyncio.sleep(later_s)
    at = crew.strike(pid, how)
    began: float = await _until(lambda: connection.fetchval(_BEGAN_AGAIN, job))
    call("POST", f"{url}/{job}:cancel", key)
    await _until(lambda: connection.fetchval(_ENDED, job))
    return began - at


async def _until(look: Callable[[], Awaitable[Found | None]]) -> Found:
    """Look until there is something."""
    deadline = time.monotonic() + _WITHIN_S
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(_LOOK_EVERY_S)
    raise TimeoutError(f"nothing came within {_WITHIN_S:g} s")


def _flushed(pace: Pace) -> Flushed:
    """Let jobs wait on a lane that is held, let it go on, and empty Redis again and again while they are worked off."""
    with servers() as around, running(around, _DRAINING_SLOTS) as service:
        ops, lane = ops_key(around.database_url), f"{service.url}/v1/lanes/{_LANE}"
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        call("POST", f"{lane}:pause", ops, {"until": until, "reason": "a measurement"})
        more = int(pace.flushes * (_BETWEEN_FLUSHES_S + 5) * _DRAINING_SLOTS / _BRIEF_S)
        jobs = pace.waiting + more
        asyncio.run(_accept(service.url, around.key, jobs))
        call("POST", f"{lane}:resume", ops)
        return asyncio.run(_flush(around, pace.flushes, jobs))


async def _accept(url: str, key: str, jobs: int) -> None:
    sender = Sender(url)
    accepted = await sender.submit_many(key, [_BRIEF] * jobs)
    await sender.close()
    if accepted < jobs:
        raise RuntimeError(f"{jobs - accepted} of {jobs} jobs were not accepted")


async def _flush(around: Servers, times: int, jobs: int) -> Flushed:
    connection = await asyncpg.connect(around.database_url)
    transport = Transport(connect(around.redis_url))
    took, lost, left = [], [], []
    for _ in range(times):
        await asyncio.sleep(_BETWEEN_FLUSHES_S)
        left.append(await connection.fetchval("SELECT count(*) FROM jobs WHERE state = 'queued'"))
        at = time.time()
        await transport.redis.flushall()
        missing = await _missing(connection, transport, at)
        lost.append(missing)
        while missing:
            await asyncio.sleep(_LOOK_EVERY_S)
            missing = await _missing(connection, transport, at)
        took.append(time.time() - at)
    await _until(lambda: _none_left(connection))
    account = await connection.fetchrow(_ACCOUNT)
    await connection.close()
    await transport.close()
    assert account is not None
    return Flushed(took, lost, left, jobs - account["done"], account["attempts"] - jobs)


async def _missing(connection: "asyncpg.Connection[Any]", transport: Transport, at: float) -> int:
    """Count the tickets of what was released before a moment, and is not claimed, that Redis does not have."""
    released = {ticket_of(row[0]) for row in await connection.fetch(_RELEASED, at)}
    return len(released.difference(*[await transport.present(lane.name) for lane in LANES]))


async def _none_left(connection: "asyncpg.Connection[Any]") -> bool:
    return not await connection.fetchval(_UNFINISHED)
