"""What is known of the backlog: the first jobs of every queue, read again where that is too little or untrue."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs import service as ledger
from invoicing.jobs.model.backlog import Look, Place, QueueName, Seen
from invoicing.lanes.model import BY_PARTS, Queue, Scheduler, Waiting
from invoicing.lanes.model.metering import first_s
from invoicing.lanes.model.notice import Notices

LOOK_AT_LEAST_EVERY_S = 1.0

_FEW, _MANY = 8, 64
"""How many jobs of a queue are known at least while more wait in the ledger: if there are many queues, or few."""
_FEW_QUEUES = 8
_TIMES = 8
"""How many times as many are read at once."""
_SHARE_OF_LISTING = 0.05
"""Listing all queues though nothing was told takes at most this share of the time."""


class Outlook:
    """Keeps a scheduler informed of what waits."""

    def __init__(self, scheduler: Scheduler) -> None:
        """Know nothing yet."""
        self._scheduler = scheduler
        self._known: dict[Queue, bool] = {}
        """The queues in which something waits, and whether the ledger has more of each than is known here."""
        self._last: dict[Queue, UUID] = {}
        """The last job that is known of each of them: what comes behind it can be read on its own."""
        self._short: set[Queue] = set()
        self.least = _FEW
        """So many jobs may be chosen before queues have to be refilled: none then seems empty that is not."""
        self._listed_at = -1e9
        self._listing_took_s = 0.0
        self._ripe_until = 0.0
        self._due_at: float | None = None
        """When the next job becomes due (seconds of the monotonic clock)."""

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._known)

    def differs(self, notices: Notices) -> bool:
        """Whether notices say that other jobs come first in some queue than those that are known."""
        return notices.everywhere or bool(notices.changed) or any(not self._known.get(one) for one in notices.added)

    async def look(self, connection: "asyncpg.Connection[Any]", notices: Notices, *, under_way: bool) -> Look:
        """Read the queues that changed or of which too little is known, and what is under way where that is asked."""
        asked = notices.changed | {queue for queue in notices.added if not self._known.get(queue)} | self._short
        self._short = set()
        asked |= await self._unlisted(connection, anew=notices.everywhere)
        if self._due_at is not None and time.monotonic() >= self._due_at:
            asked |= {_queue(name) for name in await ledger.ripe(connection, self._ripe_until)}
        asked |= self._raise_least(len(self._known.keys() | asked))
        look = await self._read(connection, dict.fromkeys(asked), under_way=under_way)
        self._ripe_until = look.now
        self._due_at = None if look.next_due is None else time.monotonic() + look.next_due - look.now
        return look

    async def refill(self, connection: "asyncpg.Connection[Any]", taken: Sequence[Waiting], latest: int) -> None:
        """Read on in the queues of the latest jobs taken, where it is needed, behind what is known of them."""
        self.note([one.queue for one in taken[-latest:]])
        asked = {queue: self._last[queue] for queue in self._short if queue in self._last}
        if asked:
            self._short -= asked.keys()
            await self._read(connection, asked)

    def note(self, queues: Iterable[Queue], *, doubtful: bool = False) -> None:
        """Notice of which queues too little is known now; the `doubtful` ones are read again in any case."""
        for queue in set(queues):
            shown = self._scheduler.shown(queue)
            if doubtful or (shown < self.least and self._known.get(queue)):
                self._short.add(queue)
            elif not shown:
                self._forget(queue)

    def waiting(self, job: Seen) -> Waiting:
        """See a job as the policy does."""
        charge = first_s(job.work_s, job.size, self._scheduler.policy)
        lane = BY_PARTS[job.priority, job.size]
        of = (job.customer_id, job.key_id, lane)
        return Waiting(job.job_id, job.attempt, *of, job.order_at, charge, job.expedited, job.needs)

    async def _unlisted(self, connection: "asyncpg.Connection[Any]", *, anew: bool) -> set[Queue]:
        """List the queues and give those to read: all of them, or now and then those that nobody told of."""
        began = time.monotonic()
        pause_s = max(LOOK_AT_LEAST_EVERY_S, self._listing_took_s / _SHARE_OF_LISTING)
        if not anew and began < self._listed_at + pause_s:
            return set()
        there = {_queue(name) for name in await ledger.queues(connection)}
        self._listed_at = time.monotonic()
        self._listing_took_s = self._listed_at - began
        for queue in self._known.keys() - there:
            self._show(queue, [], more=False)
        return there if anew else there - self._known.keys()

    def _raise_least(self, queues: int) -> set[Queue]:
        """Adapt how much is known of a queue at least; gives those of which that is now too little."""
        before, self.least = self.least, _MANY if queues <= _FEW_QUEUES else _FEW
        if self.least <= before:
            return set()
        return {queue for queue, more in self._known.items() if more and self._scheduler.shown(queue) < self.least}

    async def _read(
        self, connection: "asyncpg.Connection[Any]", asked: Mapping[Queue, UUID | None], *, under_way: bool = False
    ) -> Look:
        """Read the first jobs of queues, or those behind one that is known already."""
        most = self.least * _TIMES
        names = {_name(queue): behind for queue, behind in asked.items()}
        look = await ledger.look(connection, names, most, under_way=under_way)
        found: dict[Queue, list[Waiting]] = {queue: [] for queue in asked}
        for job in look.jobs:
            if job.place is Place.WAITING:
                waiting = self.waiting(job)
                found[waiting.queue].append(waiting)
        for queue, jobs in found.items():
            before = () if asked[queue] is None else self._scheduler.first_of(queue)
            self._show(queue, [*before, *jobs], more=len(jobs) >= most)
        return look

    def _show(self, queue: Queue, jobs: Sequence[Waiting], *, more: bool) -> None:
        self._scheduler.show(queue, jobs)
        if jobs:
            self._known[queue], self._last[queue] = more, jobs[-1].job_id
        else:
            self._forget(queue)

    def _forget(self, queue: Queue) -> None:
        self._known.pop(queue, None)
        self._last.pop(queue, None)


def _queue(name: QueueName) -> Queue:
    return Queue(name[0], name[1], BY_PARTS[name[2], name[3]], name[4])


def _name(queue: Queue) -> QueueName:
    return queue.customer_id, queue.key_id, queue.lane.priority, queue.lane.size, queue.needs
