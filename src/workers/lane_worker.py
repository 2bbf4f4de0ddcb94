"""arq's worker, extended: several lanes on one budget of slots, woken instead of polling, claims in batches."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from arq.worker import Worker, func
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import Claim
from invoicing.kit.db import Session, driver, transaction
from invoicing.kit.listen import listening
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES, SIZES, Lane, free_for, quotas
from invoicing.transport import PERFORM, Transport, as_json, from_json, queue_of
from workers.heartbeat import EVERY_S, LEASE, Attempts, Heartbeat
from workers.nursery import Nursery
from workers.runner import Attempt, Runner
from workers.settling import UNREACHABLE, Settler

log = logging.getLogger(__name__)

_LOOK_AT_LEAST_EVERY_S = 1.0
"""Wake-ups are not promised by Redis; this is how late a lost one is noticed."""

_OVERFLOW = 2
"""Attempts beyond the slots, per slot, that may run on after they turned out larger than they were taken for."""

_BACKOFF_S = 0.5


class LaneWorker(Worker):
    """Serves all its lanes with one budget of slots; a class never takes the slots kept for smaller ones."""

    def __init__(
        self,
        worker_id: UUID,
        engine: AsyncEngine,
        url: str,
        transport: Transport,
        kinds: Kinds,
        nursery: Nursery,
        slots: int,
        *,
        beat_every_s: float = EVERY_S,
        lease: timedelta = LEASE,
    ) -> None:
        """Serve every lane."""
        super().__init__(
            [func(self.perform, name=PERFORM, keep_result=0, max_tries=1)],
            queue_name=queue_of(LANES[0].name),
            redis_pool=transport.redis,
            max_jobs=slots,
            handle_signals=False,
            retry_jobs=False,
            keep_result=0,
            job_serializer=as_json,
            job_deserializer=from_json,
        )
        self.worker_id = worker_id
        self.lanes: Sequence[Lane] = LANES
        self._engine = engine
        self._url = url
        self._transport = transport
        self._kinds = kinds
        self._nursery = nursery
        self._slots = slots
        self._beat_every_s = beat_every_s
        self._lease = lease
        self._look = asyncio.Event()
        self._settler = Settler(engine)
        self.runner = Runner(engine, kinds, nursery, self._settler, self._look.set)

    async def perform(self, ctx: dict[Any, Any], job_id: str, attempt: int) -> None:  # noqa: ARG002 - arq's signature
        """Claim one ticket and carry it through: the function that arq knows; its own worker could run it too."""
        for claim in await self._claim([(UUID(job_id), attempt)]):
            await self.runner.run(self.runner.begin(claim))

    async def main(self) -> None:
        """Take and run jobs until told to stop, through restarts of Redis and PostgreSQL; then drain."""
        self._settler.start()
        heartbeat = self._heartbeat()
        heartbeat.start()
        try:
            async with self._told_to_stop_jobs(), self._woken():
                log.info("serving %d lanes", len(self.lanes), extra={"action": "worker.ready", "slots": self._slots})
                while self.allow_pick_jobs:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._look.wait(), _LOOK_AT_LEAST_EVERY_S)
                    self._look.clear()
                    await self._take_supervised()
                heartbeat.stopping()
                await self._drain()
        finally:
            await self._settler.stop()
            await heartbeat.stop()
            await self._leave()

    def stop(self) -> None:
        """Take no more jobs, and end once those that run have stopped."""
        self.allow_pick_jobs = False
        self._look.set()

    async def _take_supervised(self) -> None:
        try:
            if await self._take():
                self._look.set()
        except (RedisError, *UNREACHABLE) as error:
            log.warning("cannot take jobs: %s", error, extra={"action": "worker.take_failed"})
            await asyncio.sleep(_BACKOFF_S)
            self._look.set()

    async def _take(self) -> bool:
        """Fill the free slots from the runways; tells whether there was anything."""
        running = self.runner.running()
        left = [free_for(size, running, self._slots) for size in SIZES]
        room = self._slots * (1 + _OVERFLOW) - sum(running.values())
        left = [min(free, room) for free in left]
        if left[0] <= 0:
            return False
        tickets = await self._transport.take([(lane.name, SIZES.index(lane.size)) for lane in self.lanes], left)
        for claim in await self._claim(tickets) if tickets else ():
            task = asyncio.create_task(self.runner.run(self.runner.begin(claim)), name=f"{claim.id}:{claim.attempt}")
            self.tasks[task.get_name()] = task
            task.add_done_callback(lambda done: self.tasks.pop(done.get_name(), None))
        self._make_large_give_way()
        return bool(tickets)

    async def _claim(self, tickets: Sequence[tuple[UUID, int]]) -> list[Claim]:
        async with self._engine.connect() as session:
            return await ledger.claim(await driver(session), self.worker_id, tickets, self._lease)

    def _make_large_give_way(self) -> None:
        """Ask attempts over the quota of the class they turned out to be in to go back into the queue of that class."""
        quota = quotas(self._slots)
        over = sum(self.runner.running().values()) - self._slots
        grown = [attempt for attempt in self.runner.attempts.values() if attempt.size != attempt.claim.size]
        for attempt in sorted(grown, key=lambda attempt: SIZES.index(attempt.size), reverse=True)[: max(0, over)]:
            log.info(
                "asked to give way",
                extra={"action": "attempt.yield", "job_id": str(attempt.claim.id), "quota": quota[attempt.size]},
            )
            self.runner.stop(attempt, "yield", None)

    def _keep_only(self, asked: Sequence[tuple[UUID, int]], held: Attempts) -> None:
        """Give up attempts that the ledger no longer holds for this worker, and stop those that were cancelled."""
        for attempt in [self.runner.attempts[key] for key in asked if key in self.runner.attempts]:
            if attempt.key not in held:
                if attempt.child is not None and not attempt.lost:  # without one it has not begun, or it has ended
                    log.warning("lease lost", extra={"action": "attempt.lost", "job_id": str(attempt.claim.id)})
                    self.runner.lose(attempt)
            elif held[attempt.key]:
                self.runner.stop(attempt, "cancel", self.runner.grace_of(attempt))

    async def _drain(self) -> None:
        """Have every attempt stop at its next checkpoint, or kill it after its grace time; it goes back uncounted."""
        log.info("draining %d attempts", len(self.runner.attempts), extra={"action": "worker.draining"})
        for attempt in list(self.runner.attempts.values()):
            self.runner.stop(attempt, "drain", self.runner.grace_of(attempt))
        while self.tasks:
            await asyncio.wait(self.tasks.values())

    def _told(self, _channel: str, payload: str) -> None:
        """Stop a job that somebody cancelled."""
        job_id, _, why = payload.partition(":")
        for attempt in self._attempts_of(job_id):
            self.runner.stop(attempt, why, self.runner.grace_of(attempt))

    def _attempts_of(self, job_id: str) -> list[Attempt]:
        return [attempt for attempt in self.runner.attempts.values() if str(attempt.claim.id) == job_id]

    @asynccontextmanager
    async def _told_to_stop_jobs(self) -> AsyncIterator[None]:
        async with listening(self._url, [ledger.CONTROL], self._told, missed=lambda: None):
            yield

    @asynccontextmanager
    async def _woken(self) -> AsyncIterator[None]:
        """Look for jobs whenever Redis says that there are some, through its restarts."""
        task = asyncio.create_task(self._wake_for_ever(), name="wake")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _wake_for_ever(self) -> None:
        while True:
            try:
                async with self._transport.wake_ups() as wake_ups:
                    self._look.set()
                    while True:
                        if await wake_ups.wait(30):
                            self._look.set()
            except (RedisError, OSError) as error:
                log.warning("no wake-ups: %s", error, extra={"action": "worker.wake_lost"})
                await asyncio.sleep(_BACKOFF_S)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._url,
            self.worker_id,
            self._register,
            lambda: list(self.runner.attempts),
            self._keep_only,
            every_s=self._beat_every_s,
            lease=self._lease,
        )

    async def _register(self, session: Session) -> None:
        await lanes.register(
            session,
            self.worker_id,
            socket.gethostname(),
            os.getpid(),
            lanes.build(),
            self._slots,
            [lane.name for lane in self.lanes],
            sorted(self._kinds),
        )

    async def _leave(self) -> None:
        with contextlib.suppress(*UNREACHABLE):
            async with transaction(self._engine) as session:
                await lanes.leave(session, self.worker_id)


def stop_on_signals(worker: LaneWorker) -> None:
    """Have SIGTERM and SIGINT drain the worker."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
