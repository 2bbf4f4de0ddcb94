"""No-op jobs from a durable backlog to their durable end, through one worker process; beside peers."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

import asyncpg
from benchmarks.pace import Pace
from benchmarks.report import Table
from benchmarks.service import Service, running
from benchmarks.submitting import Sender
from benchmarks.surroundings import ROOT, Servers, call, ops_key, own_mb, servers

SLOTS = 4
_LANE = "normal-small"
_LOOK_EVERY_S = 0.1
_TAKES_AT_MOST_S = 600.0


@dataclass(frozen=True)
class Drained:
    """How fast, and how much memory the worker held in the end (with its children)."""

    per_second: float
    memory_mb: float


def run(pace: Pace) -> Table:
    """Measure ours and pgqueuer in turns, then the slower ones."""
    ours: list[Drained] = []
    pgqueuer: list[Drained] = []
    for _ in range(pace.repetitions):
        ours.append(_ours(pace.backlog))
        pgqueuer.append(_peer("drain_pgqueuer", pace.backlog))
    arq = [_peer("drain_arq", pace.backlog)]
    procrastinate = [_peer("drain_procrastinate", pace.slow_backlog)]
    table = Table(
        f"No-op jobs, a backlog of {pace.backlog:,}, one worker process",
        ("what", "jobs/s (median)", "each run", "ours is", "memory MB"),
    )
    rows: Mapping[str, Sequence[Drained]] = {
        f"invoicing: durable accept to durable end ({SLOTS} slots)": ours,
        "pgqueuer: durable, neither lanes nor status": pgqueuer,
        "arq tuned: not durable": arq,
        f"procrastinate: durable (backlog {pace.slow_backlog:,})": procrastinate,
    }
    own = _rate(ours)
    for name, found in rows.items():
        each = " ".join(f"{one.per_second:,.0f}" for one in found)
        memory = f"{median(one.memory_mb for one in found):.0f}"
        table.add(name, f"{_rate(found):,.0f}", each, f"{own / _rate(found):.2f} x", memory)
    table.bar("jobs/s against pgqueuer in the same run", own / _rate(pgqueuer), at_least=1.2)
    table.bar("jobs/s against arq tuned in the same run", own / _rate(arq), at_least=4)
    return table


def _rate(found: Sequence[Drained]) -> float:
    return median(one.per_second for one in found)


def _ours(jobs: int) -> Drained:
    """Hold the lane, accept the backlog, let the lane go on: from there to the last end in the ledger."""
    with servers() as around, running(around, SLOTS) as service:
        ops = ops_key(around.database_url)
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        call("POST", f"{service.url}/v1/lanes/{_LANE}:pause", ops, {"until": until, "reason": "a measurement"})
        accepted = asyncio.run(_accept(service.url, around.key, jobs))
        if accepted < jobs:
            raise RuntimeError(f"{jobs - accepted} of {jobs} jobs were not accepted")
        time.sleep(2)  # lets what the ledger does after it answered be done
        began = time.time()
        call("POST", f"{service.url}/v1/lanes/{_LANE}:resume", ops)
        ended = asyncio.run(_last_end(around, jobs))
        return Drained(jobs / (ended - began), _memory_mb(service))


async def _accept(url: str, key: str, jobs: int) -> int:
    sender = Sender(url)
    accepted = await sender.submit_many(key, [{"kind": "bench.noop", "payload": {}}] * jobs)
    await sender.close()
    return accepted


async def _last_end(around: Servers, jobs: int) -> float:
    """Wait until nothing waits or runs (asked by index), then read when the last job ended (epoch, seconds)."""
    connection = await asyncpg.connect(around.database_url)
    deadline = time.monotonic() + _TAKES_AT_MOST_S
    while await connection.fetchval("SELECT EXISTS (SELECT FROM jobs WHERE finished_at IS NULL)"):
        if time.monotonic() > deadline:
            raise TimeoutError("the backlog did not drain")
        await asyncio.sleep(_LOOK_EVERY_S)
    row = await connection.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'succeeded') AS done, "
        "extract(epoch FROM max(finished_at))::float8 AS ended FROM jobs"
    )
    await connection.close()
    if row is None or row["done"] != jobs:
        raise RuntimeError("not every job succeeded")
    ended: float = row["ended"]
    return ended


def _memory_mb(service: Service) -> float:
    """Add up what the worker and its children hold, each its own part."""
    return sum(own_mb(pid) for name, pid in service.pids().items() if "worker" in name)


def _peer(name: str, jobs: int) -> Drained:
    """Run a peer in a process of its own, on servers of its own."""
    with servers() as around:
        url = around.redis_url if "arq" in name else around.database_url
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.peers.{name}", url, str(jobs)],
            cwd=ROOT,
            env=around.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    return Drained(**json.loads(done.stdout))
