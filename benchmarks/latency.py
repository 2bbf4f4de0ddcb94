"""From commit to start when idle: through ledger, dispatcher, lane and child, beside arq without any of them."""

import asyncio
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg
from arq.connections import RedisSettings, create_pool
from benchmarks.report import Table
from benchmarks.service import running
from benchmarks.surroundings import Servers, call, process, resident_mb, servers

_JOBS = 150
_GAP_S = 0.05


def run() -> Table:
    """Measure ours, then both settings of arq."""
    with servers() as around:
        with running(around, slots=2) as service:
            ours, ends = asyncio.run(_ours(service.url, around))
            memory = {name: resident_mb(pid) for name, pid in service.pids().items()}
        stock = asyncio.run(_arq(around, 0.5, _JOBS // 3))
        tuned = asyncio.run(_arq(around, 0.01, _JOBS))
    table = Table("Idle latency of a small job", ("what", "p50 ms", "p99 ms"))
    for name, found in (
        ("invoicing: commit to start (durable)", ours),
        ("invoicing: commit to durable end", ends),
        ("arq as it comes: enqueue to start", stock),
        ("arq tuned (poll 10 ms): enqueue to start", tuned),
    ):
        table.add(name, f"{_at(found, 0.5):.1f}", f"{_at(found, 0.99):.1f}")
    for name, held in memory.items():
        table.add(f"memory of {name} (RSS, MB)", f"{held:.0f}", "")
    return table


async def _ours(url: str, around: Servers) -> tuple[list[float], list[float]]:
    """Submit jobs of no work one after the other; times are the ledger's own (one clock)."""
    ids = []
    for _ in range(_JOBS):
        body = {"kind": "drill", "payload": {"seconds": 0, "chunks": 1}}
        job = await asyncio.to_thread(
            call, "POST", f"{url}/v1/jobs", around.key, body, {"Idempotency-Key": str(uuid.uuid4())}
        )
        ids.append(uuid.UUID(job["id"]))
        await asyncio.sleep(_GAP_S)
    await asyncio.sleep(2)
    connection = await asyncpg.connect(around.database_url)
    rows = await connection.fetch(
        "SELECT submitted_at, started_at, finished_at, state FROM jobs WHERE id = ANY($1::uuid[])", ids
    )
    await connection.close()
    if any(row["state"] != "succeeded" for row in rows):
        raise RuntimeError("not every job succeeded")
    started = [(row["started_at"] - row["submitted_at"]).total_seconds() for row in rows]
    ended = [(row["finished_at"] - row["submitted_at"]).total_seconds() for row in rows]
    return started, ended


async def _arq(around: Servers, poll_s: float, jobs: int) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.peers.arq_worker", around.redis_url, str(poll_s)]
    with process(command, around.environment()):
        redis: Any = await create_pool(RedisSettings.from_dsn(around.redis_url))
        found = []
        for place in range(jobs + 1):
            name = f"bench:{poll_s}:{place}"
            sent = time.time()
            await redis.enqueue_job("note", name)
            _, started = await redis.blpop([name], timeout=30)
            if place:  # the first one waited for the worker to start
                found.append(float(started) - sent)
            await asyncio.sleep(_GAP_S)
        await redis.aclose()
    return found


def _at(found: Sequence[float], share: float) -> float:
    ordered = sorted(found)
    return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]
