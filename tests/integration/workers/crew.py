"""Dispatcher, watchdog and workers of one ledger: in this process, or workers in processes of their own."""

import asyncio
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy.engine import RowMapping

from invoicing.kit.db import make_engine
from invoicing.transport import Transport, connect
from workers.dispatcher import Dispatcher
from workers.lane_worker import LaneWorker
from workers.nursery import Nursery
from workers.watchdog import Watchdog

from ..book import Book
from . import station


class Crew:
    """Everything that carries jobs out, with short leases."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self.url = database_url
        self.redis_url = redis_url
        self.engine = make_engine(database_url, pool_size=10)
        self.transport = Transport(connect(redis_url))
        self.book: Book
        self.leader: Dispatcher
        self._running: list[tuple[Any, asyncio.Task[None]]] = []
        self._nurseries: list[Nursery] = []
        self._processes: list[Process] = []

    async def open(self) -> "Crew":
        """Start what every test needs: dispatcher and watchdog."""
        self.book = await Book.open(self.engine)
        self.leader = self.add_dispatcher()
        soon = timedelta(seconds=0.5)
        self._run(Watchdog(self.engine, self.transport, lease=station.LEASE, every_s=0.2, unclaimed_for=soon))
        return self

    async def worker(self, slots: int = 1, nursery: Nursery | None = None) -> LaneWorker:
        """Start a worker in this process."""
        nursery = nursery or station.nursery(self.url, slots)
        self._nurseries.append(nursery)
        await nursery.start()
        worker = station.station(self.engine, self.url, self.transport, nursery, slots)
        self._run(worker, worker.main())
        return worker

    async def process(self, slots: int = 1) -> Process:
        """Start a worker in a process of its own; returns once it is registered."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, station.__file__, self.url, self.redis_url, str(slots)
        )
        self._processes.append(process)

        async def registered() -> bool:
            return bool(await self.book.scalar("SELECT count(*) FROM workers WHERE pid = :pid", pid=process.pid))

        await until(registered)
        return process

    async def stop(self, worker: Any) -> None:
        """End something that runs in this process, and wait for it."""
        worker.stop()
        await asyncio.gather(*(task for each, task in self._running if each is worker))

    async def close(self) -> None:
        """End everything."""
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await asyncio.gather(*(nursery.close() for nursery in self._nurseries))
        for each, _ in self._running:
            each.stop()
        _, late = await asyncio.wait([task for _, task in self._running], timeout=15)
        for task in late:
            task.cancel()
        results = await asyncio.gather(*(task for _, task in self._running), return_exceptions=True)
        await self.transport.close()
        await self.engine.dispose()
        assert not late, "something did not stop"
        assert results == [None] * len(results), f"something broke off: {results}"

    async def ended(self, *ids: UUID, within: float = 45) -> list[RowMapping]:
        """Wait until jobs are finished; gives their rows."""

        async def finished() -> bool:
            return await self._count(ids, "finished_at IS NOT NULL") == len(ids)

        await until(finished, within)
        return [await self.book.row(job_id) for job_id in ids]

    async def running(self, *ids: UUID, within: float = 45) -> None:
        """Wait until all of some jobs run."""

        async def started() -> bool:
            return await self._count(ids, "state = 'running'") == len(ids)

        await until(started, within)

    async def attempted(self, job_id: UUID, attempt: int, within: float = 45) -> None:
        """Wait until a job runs for the so-many-th time: it may still count as running under a worker that is gone."""

        async def started() -> bool:
            return await self._count((job_id,), f"state = 'running' AND attempt = {attempt}") == 1

        await until(started, within)

    async def progressed(self, job_id: UUID, at_least: float = 1, within: float = 45) -> None:
        """Wait until a job has made that many checkpoints."""

        async def far_enough() -> bool:
            return bool(await self.book.scalar(
                "SELECT progress_done >= :least FROM jobs WHERE id = :id", id=job_id, least=at_least
            ))  # fmt: skip

        await until(far_enough, within)

    async def _count(self, ids: tuple[UUID, ...], condition: str) -> int:
        statement = f"SELECT count(*) FROM jobs WHERE id = ANY(:ids) AND {condition}"
        return int(await self.book.scalar(statement, ids=list(ids)))

    def _run(self, each: Any, main: Any = None) -> None:
        self._running.append((each, asyncio.create_task(each.run() if main is None else main)))

    def add_dispatcher(self) -> Dispatcher:
        """Start another dispatcher."""
        dispatcher = Dispatcher(self.engine, self.url, self.transport)
        self._run(dispatcher)
        return dispatcher


async def until(holds: Callable[[], Awaitable[bool]], within: float = 45) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within
    while not await holds():
        assert time.monotonic() < deadline, f"not within {within} s"
        await asyncio.sleep(0.02)


def children_of(pid: int) -> list[psutil.Process]:
    """Find the children of a worker process."""
    return psutil.Process(pid).children()
