"""FLUSHALL with thousands of jobs waiting: how soon what lay in Redis runs all the same, and nothing twice."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import redis.asyncio

_BATCH = 2_500
_RUNNING_WELL = 50
_ENDS_WITHIN_S = 900.0

_STARTED = "SELECT count(*)::int FROM jobs WHERE started_at IS NOT NULL AND reference = 'flood'"
_IN_REDIS = """
SELECT id FROM jobs WHERE reference = 'flood' AND released_at IS NOT NULL AND state IN ('queued', 'retrying')
"""
_LAST_START = """
SELECT extract(epoch FROM max(started_at))::float8 FROM attempts WHERE number = 1 AND job_id = ANY($1::uuid[])
"""
_UNFINISHED = "SELECT count(*)::int FROM jobs WHERE reference = 'flood' AND finished_at IS NULL"
_TWICE = """
SELECT count(*)::int FROM attempts JOIN jobs ON id = job_id
WHERE reference = 'flood' AND number > 1 AND NOT EXISTS (
    SELECT FROM attempts AS earlier WHERE earlier.job_id = id AND earlier.number < attempts.number
      AND earlier.outcome = 'interrupted')
"""


@dataclass(frozen=True)
class Flooded:
    """What a flush did to so many jobs."""

    jobs: int
    in_redis: int
    """So many tickets were in Redis and were forgotten."""
    all_began_after: float
    """Seconds from the flush until the last of those had begun."""
    ran_twice: int
    unfinished: int


async def flood(http: httpx.AsyncClient, key: str, database_url: str, redis_url: str, jobs: int) -> Flooded:
    """Submit jobs that do nothing, have Redis forget everything while they run, and see them through."""
    lines = [json.dumps({"kind": "drill", "payload": {"seconds": 0.01}, "reference": "flood"})] * jobs
    for first in range(0, jobs, _BATCH):
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": f"flood-{first}"}
        body = "\n".join(lines[first : first + _BATCH])
        sent = await http.post(
            "/v1/jobs:batch", headers=headers | {"Content-Type": "application/x-ndjson"}, content=body.encode()
        )
        sent.raise_for_status()
    ledger = await asyncpg.connect(database_url)
    try:
        await _until(ledger, _STARTED, lambda count: count >= min(_RUNNING_WELL, jobs // 2))
        forgotten = [row["id"] for row in await ledger.fetch(_IN_REDIS)]
        flushed = await _flush(redis_url)
        unfinished = await _until(ledger, _UNFINISHED, lambda count: count == 0)
        last = await ledger.fetchval(_LAST_START, forgotten)
        return Flooded(
            jobs, len(forgotten), max(0.0, (last or flushed) - flushed), await ledger.fetchval(_TWICE), unfinished
        )
    finally:
        await ledger.close()


async def _until(ledger: "asyncpg.Connection[Any]", count: str, holds: Callable[[int], bool]) -> int:
    """Count again and again until that holds, or for as long as is granted; gives the last count."""
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while True:
        found = int(await ledger.fetchval(count))
        if holds(found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(0.1)


async def _flush(url: str) -> float:
    client = redis.asyncio.Redis.from_url(url)
    try:
        await client.flushall()
        return time.time()
    finally:
        await client.aclose()
