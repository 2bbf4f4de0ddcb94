"""The peers of isolation: arq with one queue, and arq with a queue and processes of their own for large jobs."""

import asyncio
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from arq.connections import ArqRedis, RedisSettings, create_pool
from benchmarks.burning import burned_s
from benchmarks.case import Case, cpu_rate
from benchmarks.pace import Pace
from benchmarks.submitting import at_random
from benchmarks.surroundings import Servers, process, servers
from benchmarks.waits import Wait

_SMALL, _LARGE = "bench:small", "bench:large"
_READY_WITHIN_S = 30.0


@dataclass(frozen=True)
class _Station:
    """A worker of arq: its queue, its slots, the processes that burn CPU for it, and their nice."""

    queue: str
    at_once: int
    processes: int = 0
    nice: int = 0


_ONE = (_Station(_SMALL, 10, processes=2),)
_TWO = (_Station(_SMALL, 8), _Station(_LARGE, 2, processes=2, nice=10))


def arrangements(large: int, burn_s: float) -> Mapping[str, Callable[[Pace], Case]]:
    """Give what is measured, by name."""
    return {
        "arq: one queue, 10 slots, a pool of 2 processes": partial(_served, _ONE, _SMALL, large, burn_s),
        "arq: two queues of 8 + 2 slots, a niced pool": partial(_served, _TWO, _LARGE, large, burn_s),
    }


def _served(stations: Sequence[_Station], into: str, large: int, burn_s: float, pace: Pace) -> Case:
    with servers() as around, ExitStack() as stack:
        folder = around.folder / "cpu"
        folder.mkdir()
        for station in stations:
            stack.enter_context(process(_command(around, station, folder), around.environment()))
        bodies = [(f"large-{place}", burn_s) for place in range(large)]
        return asyncio.run(_measured(around, folder, [station.queue for station in stations], into, bodies, pace))


async def _measured(
    around: Servers, folder: Path, queues: Sequence[str], into: str, large: Sequence[tuple[str, float]], pace: Pace
) -> Case:
    redis = await create_pool(RedisSettings.from_dsn(around.redis_url))
    for queue in queues:
        await _until_served(redis, queue)
    idle = await _small(redis, pace, pace.idle_s, 1)
    for arguments in large:
        await redis.enqueue_job("large", *arguments, _queue_name=into)
    alone = await cpu_rate(folder, pace)
    before, began = burned_s(folder), time.monotonic()
    loaded = await _small(redis, pace, pace.beside_s, 2)
    beside = (burned_s(folder) - before) / (time.monotonic() - began)
    await asyncio.sleep(pace.patience_s)
    case = Case(await _waits(redis, idle), await _waits(redis, loaded), alone, beside)
    await redis.aclose()
    return case


def _command(around: Servers, station: _Station, folder: Path) -> list[str]:
    settings = (station.queue, station.at_once, station.processes, station.nice, folder)
    return [sys.executable, "-m", "benchmarks.peers.arq_lanes", around.redis_url, *map(str, settings)]


async def _until_served(redis: ArqRedis, queue: str) -> None:
    """Wait until the worker of a queue has carried out a job."""
    name = uuid.uuid4().hex
    await redis.enqueue_job("small", name, _queue_name=queue)
    deadline = time.monotonic() + _READY_WITHIN_S
    while await redis.get(name) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"arq does not serve {queue}")
        await asyncio.sleep(0.05)


async def _small(redis: ArqRedis, pace: Pace, seconds: float, seed: int) -> list[tuple[str, float]]:
    """Send small jobs; gives where each tells when it began, and when it was sent."""

    async def send() -> tuple[str, float]:
        name, sent = uuid.uuid4().hex, time.time()
        await redis.enqueue_job("small", name, _queue_name=_SMALL)
        return name, sent

    return await at_random(send, pace.small_per_s, seconds, seed)


async def _waits(redis: ArqRedis, sent: Sequence[tuple[str, float]]) -> list[Wait]:
    began = await redis.mget([name for name, _ in sent])
    now = time.time()
    return [
        Wait(moment, now if told is None else float(told), told is not None)
        for (_, moment), told in zip(sent, began, strict=True)
    ]
