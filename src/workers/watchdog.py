"""Finds what was lost and puts it right: jobs of dead workers, and tickets that vanished from Redis."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import foreseeing
from invoicing.jobs import service as ledger
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import RetryPolicy, State
from invoicing.kit.db import driver, transaction
from invoicing.lanes import service as lanes
from invoicing.lanes.model import Lane
from invoicing.transport import Transport
from workers.heartbeat import LEASE
from workers.pulse import Pulses
from workers.rounds import Rounds
from workers.vigil import Vigil

log = logging.getLogger(__name__)

_EVERY_S = 1.0
_FORGET_EVERY_S = 60.0
_FORESEE_EVERY_S = 2.0
_UNCLAIMED_FOR = timedelta(seconds=2)
_DEAD_FOR = timedelta(minutes=10)

_SILENT_LEASES = 3
"""A worker that was silent for so many leases is dead, as far as blaming a job for it goes; its lease was over long
before, and each job that is not blamed went on with the first."""

_BLIND_AFTER = 0.5
"""The part of a lease after which rounds are a gap in the watch: whoever could not see the workers proves nothing."""


class Watchdog:
    """Runs its rounds until told to stop; one that fails is logged and comes again."""

    def __init__(
        self,
        engine: AsyncEngine,
        transport: Transport,
        kinds: Callable[[], Kinds] = dict,
        *,
        lease: timedelta = LEASE,
        every_s: float = _EVERY_S,
        unclaimed_for: timedelta = _UNCLAIMED_FOR,
        pulses: Pulses | None = None,
    ) -> None:
        """Watch a ledger and the runways; a ticket may stay unclaimed for a while before it is looked for.

        `kinds` takes long and runs in a thread; until it is done, what kinds say about dead workers is not known.
        """
        self._engine = engine
        self._kinds = kinds
        self._policies: Mapping[str, RetryPolicy] = {}
        self._lease = lease
        self._watch = Vigil(_BLIND_AFTER * lease.total_seconds())
        self._every_s = every_s
        self._unclaimed_for = unclaimed_for
        self._transport = transport
        self._missing: set[tuple[UUID, int]] = set()
        self._rounds = Rounds("watch over jobs", "watchdog.round_failed", pulses)
        self.rescued: Counter[str] = Counter()
        """Jobs taken from lost workers so far: back into the queue, or under quarantine."""
        self.healed = 0
        """Tickets put on the runway again so far."""

    def stop(self) -> None:
        """End after the rounds that are under way."""
        self._rounds.stop()

    async def run(self) -> None:
        """Rescue, reconcile and forget, each at its own pace."""
        await asyncio.gather(
            self._learn_policies(),
            self._rounds.every("rescue", self._every_s, self.rescue),
            self._rounds.every("reconcile", self._every_s, self.reconcile),
            self._rounds.every("forget_workers", _FORGET_EVERY_S, self.forget),
            self._rounds.every("foresee", _FORESEE_EVERY_S, self.foresee),
        )

    async def rescue(self) -> None:
        """Take jobs whose lease is over from their workers: back into the queue, or under quarantine."""
        async with self._engine.connect() as session:
            known = await lanes.all_workers(session)
        watch = ledger.Watch(
            {worker.id: ledger.Sign(worker.host, worker.beat_at) for worker in known},
            timedelta(seconds=self._watch.round(time.monotonic())),
            _SILENT_LEASES * self._lease,
        )
        async with self._engine.connect() as session:
            rescued = await ledger.rescue(await driver(session), watch, self._policies)
        for job_id, state in rescued.items():
            self.rescued["quarantined" if state is State.DEAD else "queued"] += 1
            if state is State.DEAD:
                log.error("put under quarantine", extra={"action": "job.quarantined", "job_id": str(job_id)})
            else:
                log.warning("rescued from a lost worker", extra={"action": "job.rescued", "job_id": str(job_id)})

    async def _learn_policies(self) -> None:
        try:
            kinds = await asyncio.to_thread(self._kinds)
        except Exception:
            log.exception("cannot load the kinds", extra={"action": "watchdog.no_kinds"})
        else:
            self._policies = {name: kind.retry for name, kind in kinds.items()}

    async def reconcile(self) -> None:
        """Put tickets on the runway again that were missing there twice, in two rounds, though nobody claimed them."""
        async with self._engine.connect() as session:
            unclaimed = await ledger.unclaimed(session, self._unclaimed_for)
        lanes_ = {Lane(*one.lane).name for one in unclaimed}
        present = {name: await self._transport.present(name) for name in sorted(lanes_)}
        missing = [one for one in unclaimed if one.ticket not in present[Lane(*one.lane).name]]
        again = [one for one in missing if one.ticket in self._missing]
        self._missing = {one.ticket for one in missing}
        if again:
            await self._transport.put([(Lane(*one.lane).name, one.ticket, one.at) for one in again])
            self.healed += len(again)
            log.warning(
                "put lost tickets on the runway again",
                extra={"action": "runway.healed", "count": len(again)},
            )

    async def forget(self) -> None:
        """Remove registrations of workers that have been dead for long."""
        async with transaction(self._engine) as session:
            await lanes.forget_dead(session, _DEAD_FOR)

    async def foresee(self) -> None:
        """Foresee the ends of some jobs and see what came of earlier ones: by that, ranges are put right."""
        async with transaction(self._engine) as session:
            await foreseeing.foresee_some(session)
