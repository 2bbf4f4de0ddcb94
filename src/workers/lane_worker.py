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
from invoicing.jobs.model import YIELD, Claim, Size
from invoicing.jobs.tracing import Traces
from invoicing.kit.db import Session, driver, transaction
from invoicing.kit.listen import listening
from invoicing.lanes import service as lanes
from invoicing.lanes.model import LANES, SIZES, Lane, Left, Policy, smaller
from invoicing.lanes.policies import Policies
from invoicing.transport import PACKING, PERFORM, Transport, as_json, from_json, queue_of
from workers.giving_way import GivingWay
from workers.guard import Guard
from workers.heartbeat import LEASE, Attempts, Heartbeat
from workers.nursery import Nursery
from workers.rounds import UNREACHABLE
from workers.runner import Runner
from workers.settling import Settler
from workers.telling import Telling
from workers.terms import Terms

log = logging.getLogger(__name__)

_LOOK_AT_LEAST_EVERY_S = 1.0
"""Wake-ups are not promised by Redis; this is how late a lost one is noticed."""

_MOST_AT_ONCE = 256
"""Tickets claimed in one statement."""

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
        lease: timedelta = LEASE,
        traces: Traces | None = None,
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
        self.heartbeat: Heartbeat | None = None
        """While it is supported."""
        self._slots = slots
        """As it was started; `terms` say what holds now."""
        self._lease = lease
        self._here = asyncio.get_running_loop()
        self._look = asyncio.Event()
        self._settler = Settler(engine)
        self.terms = Terms(slots)
        self.runner = Runner(kinds, nursery, self._settler, self.terms, self._look.set, traces)
        telling = Telling(engine)
        self._giving_way = GivingWay(self.runner, nursery, self.terms, telling, self._look.set)
        self._guard = Guard(self.runner, self._giving_way, self.terms, telling, self._look.set)
        nursery.came = self._look.set

    async def perform(self, ctx: dict[Any, Any], job_id: str, attempt: int) -> None:  # noqa: ARG002 - arq's signature
        """Claim one ticket and carry it through: the function that arq knows; its own worker could run it too."""
        for pack in self.runner.begin(await self._claim([(UUID(job_id), attempt)])):
            await self.runner.run(pack)

    async def main(self) -> None:
        """Take and run jobs until told to stop, through restarts of Redis and PostgreSQL; then drain."""
        async with self.supported() as heartbeat:
            async with self._woken():
                log.info("serving %d lanes", len(self.lanes), extra={"action": "worker.ready", "slots": self._slots})
                while self.allow_pick_jobs:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._look.wait(), _LOOK_AT_LEAST_EVERY_S)
                    self._look.clear()
                    await self._take_supervised()
            heartbeat.stopping()
            await self._drain()

    @asynccontextmanager
    async def supported(self) -> AsyncIterator[Heartbeat]:
        """Do all that `perform` needs around it while the block runs: leases, limits, orders to stop, settlements."""
        self._settler.start()
        self.heartbeat = heartbeat = self._new_heartbeat()
        heartbeat.start()
        guard = asyncio.create_task(self._guard.run(), name="guard")
        try:
            async with listening(self._url, [ledger.CONTROL], self._told, missed=lambda: None):
                yield heartbeat
        finally:
            guard.cancel()
            await self._settler.stop()
            await heartbeat.stop()
            await self._leave()

    def stop(self) -> None:
        """Take no more jobs, and end once those that run have stopped."""
        self.allow_pick_jobs = False
        self._look.set()

    async def _take_supervised(self) -> None:
        try:
            if await self._fill():
                self._look.set()
        except (RedisError, *UNREACHABLE) as error:
            log.warning("cannot take jobs: %s", error, extra={"action": "worker.take_failed"})
            await self._try_again()
        except Exception:  # what was claimed is rescued; a worker that ended would help nobody
            log.exception("cannot take jobs", extra={"action": "worker.take_failed"})
            await self._try_again()

    async def _try_again(self) -> None:
        for size in self._giving_way.sizes_aside():
            self._giving_way.come_back(size, self._free_slots())
        await asyncio.sleep(_BACKOFF_S)
        self._look.set()

    async def _fill(self) -> bool:
        """Fill the free slots: with smaller work first, then with what was set aside, then with more work."""
        found = False
        for size in self._giving_way.sizes_aside():
            found |= await self._take(smaller(size))
            self._giving_way.come_back(size, self._free_slots())
        return await self._take(SIZES) or found

    async def _take(self, sizes: Sequence[Size]) -> bool:
        """Take jobs of some classes off the runways as far as there are slots; tells whether there was anything."""
        left = self._left()
        wanted = [left[size] if size in sizes else 0 for size in SIZES]
        if wanted[0] <= 0:
            return False
        tickets = await self._transport.take(
            [(lane.name, SIZES.index(lane.size)) for lane in self.lanes], wanted, _MOST_AT_ONCE, PACKING
        )
        for pack in self.runner.begin(await self._claim(tickets)) if tickets else ():
            task = asyncio.create_task(
                self.runner.run(pack), name=f"{pack.given[0].claim.id}:{pack.given[0].claim.attempt}"
            )
            self.tasks[task.get_name()] = task
            task.add_done_callback(lambda done: self.tasks.pop(done.get_name(), None))
        return bool(tickets)

    def _left(self) -> Left:
        """Tell what may be taken: no more than there are children for, as what is on the runway can be withdrawn.

        The last child at hand is small work's: larger work can wait for another to be loaded.
        """
        children = self._nursery.at_hand - sum(pack.child is None for pack in set(self.runner.packs.values()))
        return {size: min(count, children - (size != Size.SMALL)) for size, count in self._free_slots().items()}

    def _free_slots(self) -> Left:
        return self.terms.left(self.runner.running(), len(set(self.runner.packs.values())))

    async def _claim(self, tickets: Sequence[tuple[UUID, int]]) -> list[Claim]:
        async with self._engine.connect() as session:
            return await ledger.claim(await driver(session), self.worker_id, tickets, self._lease)

    def _keep_only(self, asked: Sequence[tuple[UUID, int]], held: Attempts) -> None:
        """Give up attempts that the ledger no longer holds for this worker, and stop those that were cancelled."""
        for attempt in [self.runner.attempts[key] for key in asked if key in self.runner.attempts]:
            if attempt.key not in held:
                pack = self.runner.packs.get(attempt.key)
                if pack is not None and pack.child is not None and not attempt.lost:  # else not begun, or ended
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
        await self.runner.ended()

    def _told(self, _channel: str, payload: str) -> None:
        """Stop a job that somebody cancelled, or have one give way."""
        job_id, _, why = payload.partition(":")
        if why == YIELD:
            self._giving_way.ask_job(UUID(job_id))
            return
        for attempt in [one for one in self.runner.attempts.values() if str(one.claim.id) == job_id]:
            self.runner.stop(attempt, why, self.runner.grace_of(attempt))

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

    def _new_heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._url,
            self.worker_id,
            self._register,
            lambda: list(self.runner.attempts),
            self._keep_only,
            self._agree,
            lease=self._lease,
        )

    def _agree(self, policies: Policies) -> int:
        """Work by the policy that holds for this host from now on."""
        host = socket.gethostname()
        slots = policies.slots(host) or self._slots
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is ending
            self._here.call_soon_threadsafe(self._work_by, slots, policies.of(host))
        return slots

    def _work_by(self, slots: int, policy: Policy) -> None:
        if (slots, policy) != (self.terms.slots, self.terms.policy):
            self.terms.slots, self.terms.policy = slots, policy
            self._nursery.want(self.terms.children)
            self._look.set()
            log.info("other terms", extra={"action": "worker.terms", "slots": slots})

    async def _register(self, session: Session) -> None:
        await lanes.register(
            session,
            self.worker_id,
            socket.gethostname(),
            os.getpid(),
            lanes.build(),
            self.terms.slots,
            [lane.name for lane in self.lanes],
            sorted(self._kinds),
            self._lease,
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
