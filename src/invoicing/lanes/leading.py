"""What the dispatcher that leads knows, and one round of deciding with it: look, choose, release, ask to give way."""

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.customers.model import Allotment
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Size
from invoicing.jobs.model.backlog import Look, Place, QueueName, Seen, Ticket
from invoicing.lanes import store
from invoicing.lanes.model import (
    BY_NAME,
    LANES,
    Lane,
    Queue,
    Running,
    Scheduler,
    Waiting,
    asked_to_give_way,
    fits,
    used,
)
from invoicing.lanes.model.metering import Charge, Meter, first_s
from invoicing.lanes.model.notice import Notices
from invoicing.lanes.model.quota import Left
from invoicing.lanes.model.room import ahead, free, room
from invoicing.lanes.surroundings import Surroundings

_MOST_A_ROUND = 2_000
"""Jobs released in one round: more would keep a pause waiting for the end of it."""
_FEW, _MANY = 8, 64
"""How many jobs of a queue are known at least while more wait in the ledger, if there are many queues or few."""
_TIMES = 8
"""How many times as many are read at once."""
_FEW_QUEUES = 8
_MOST_ASKED = 64
"""Jobs that are looked at, at most, to find those that running work gives way to."""

LOOK_AT_LEAST_EVERY_S = 1.0
_SHARE_OF_LOOKING = 0.05
"""Looking at every queue though nothing was told takes at most this share of the time."""


@dataclass(frozen=True)
class Round:
    """What a round did."""

    released: Sequence[ledger.Released] = ()
    work_s: Mapping[UUID, float] = field(default_factory=dict)
    """Their predicted work, as far as it is done in one turn (seconds)."""
    asked: Sequence[UUID] = ()
    wait_s: float = LOOK_AT_LEAST_EVERY_S
    """How long there is nothing to do unless something is told (seconds)."""


@dataclass
class _UnderWay:
    """What runs and what is on the runways, the first released first."""

    running: list[Running] = field(default_factory=list)
    runway: list[Waiting] = field(default_factory=list)


class Lead:
    """The first jobs of every queue, and all that deciding needs; rebuilt from the ledger by whoever takes the lead."""

    def __init__(self, surroundings: Surroundings, accounts: Mapping[UUID, float]) -> None:
        """Know nothing of the backlog yet: the first round looks everywhere."""
        self.notices = Notices()
        self.meter = Meter()
        self.scheduler = Scheduler(surroundings.policy)
        self.scheduler.restore(accounts)
        self._around = surroundings
        self._allotted: set[UUID] = set()
        self._allot(surroundings.allotments)
        self._known: dict[Queue, bool] = {}
        """The queues in which something waits, and whether the ledger has more of each than is known here."""
        self._short: set[Queue] = set()
        self._least = _FEW
        self._under_way = _UnderWay()
        self._counted: set[UUID] = set()
        self._asked: set[Ticket] = set()
        self._last_release = 0.0
        self._ripe_until = 0.0
        self._looked_everywhere_at = -1e9
        self._looking_takes_s = 0.0
        self._due: float | None = None
        """When the next job becomes due (seconds of the monotonic clock)."""

    def adopt(self, surroundings: Surroundings) -> bool:
        """Go on with other workers, another policy, other weights and caps; tells whether that is worth a round."""
        if surroundings == self._around:
            return False
        if surroundings.policy != self._around.policy:
            self.scheduler.adopt(surroundings.policy)
        self._around = surroundings
        self._allot(surroundings.allotments)
        self.notices.room = True
        return bool(self._known)

    def correct(self, charges: Iterable[Charge]) -> None:
        """Count service that differs from what was charged in advance."""
        for charge in charges:
            self.scheduler.charge(*charge)

    @property
    def worth_a_round(self) -> bool:
        """Whether what was told since the last round can change anything."""
        notices = self.notices
        return bool(notices.everywhere or notices.changed or notices.added or (notices.room and self._known))

    async def round(self, connection: "asyncpg.Connection[Any]") -> Round:
        """Release what there is room for, in one transaction; what was decided is void if it fails, and so is this."""
        await ledger.begin(connection)
        try:
            paused = await store.paused(connection)
            look = await self._look(connection)
            bounds = self._bounds(paused)
            left = free(self._around.capacity, self._under_way.running)
            taken = await self._take(connection, left, bounds)
            released = await self._release(connection, taken)
            asked = self._to_give_way(look.now, left, bounds)
            if asked:
                await ledger.ask_to_give_way(connection, [one.job_id for one in asked])
        except BaseException:
            await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")
        work_s = {one.job_id: one.first_s for one in taken}
        return Round(released, work_s, [one.job_id for one in asked], self._wait_s(look))

    async def _look(self, connection: "asyncpg.Connection[Any]") -> Look:
        """Read the queues that changed, or of which too little is known, and what is under way."""
        notices, self.notices = self.notices, Notices(everywhere=False)
        asked = notices.changed | {queue for queue in notices.added if not self._known.get(queue)} | self._short
        self._short = set()
        if notices.everywhere:
            self._known = dict.fromkeys(self._known, True)
        asked |= await self._look_everywhere(connection, anew=notices.everywhere)
        if self._due is not None and time.monotonic() >= self._due:
            asked |= {_queue(name) for name in await ledger.ripe(connection, self._ripe_until)}
        look = await self._read(connection, asked, under_way=True)
        self._ripe_until = look.now
        self._observe(look)
        return look

    async def _look_everywhere(self, connection: "asyncpg.Connection[Any]", *, anew: bool) -> set[Queue]:
        """List the queues and give those to read: all of them, or those that nobody told of."""
        began = time.monotonic()
        if not anew and began < self._looked_everywhere_at + max(
            LOOK_AT_LEAST_EVERY_S, self._looking_takes_s / _SHARE_OF_LOOKING
        ):
            return set()
        there = {_queue(name) for name in await ledger.queues(connection)}
        self._looked_everywhere_at = time.monotonic()
        self._looking_takes_s = self._looked_everywhere_at - began
        for queue in self._known.keys() - there:
            del self._known[queue]
            self.scheduler.show(queue, [])
        return there if anew else there - self._known.keys()

    async def _read(
        self,
        connection: "asyncpg.Connection[Any]",
        asked: Collection[Queue],
        *,
        under_way: bool = False,
        without: Collection[UUID] = (),
    ) -> Look:
        """Show the scheduler the first jobs of queues; `without` are taken already, though the ledger has them yet."""
        self._least = _MANY if len(self._known) + len(asked) <= _FEW_QUEUES else _FEW
        most = self._least * _TIMES
        names: list[QueueName] = [
            (queue.customer_id, queue.key_id, queue.lane.priority, queue.lane.size) for queue in asked
        ]
        look = await ledger.look(connection, names, most + len(without), under_way=under_way)
        heads: dict[Queue, list[Waiting]] = {queue: [] for queue in asked}
        found: Counter[Queue] = Counter()
        for job in look.jobs:
            if job.place is Place.WAITING:
                waiting = self._waiting(job)
                found[waiting.queue] += 1
                if job.job_id not in without:
                    heads[waiting.queue].append(waiting)
        for queue, jobs in heads.items():
            self._show(queue, jobs, more=found[queue] >= most + len(without))
        return look

    def _show(self, queue: Queue, jobs: Sequence[Waiting], *, more: bool) -> None:
        self.scheduler.show(queue, jobs)
        if jobs:
            self._known[queue] = more
        else:
            self._known.pop(queue, None)

    def _observe(self, look: Look) -> None:
        """Take in what runs and what is on the runways."""
        running = [_running(job) for job in look.jobs if job.place is Place.RUNNING]
        runway = sorted((job for job in look.jobs if job.place is Place.RELEASED), key=lambda job: job.since)
        self._under_way = _UnderWay(running, [self._waiting(job) for job in runway])
        if runway:
            self._last_release = max(self._last_release, runway[-1].since)
        self.correct(self.meter.observe(running, self._under_way.runway, look.now))
        counts = Counter(one.customer_id for one in running)
        counts.update(one.customer_id for one in self._under_way.runway)
        for customer_id in self._counted - counts.keys():
            self.scheduler.runs(customer_id, 0)
        for customer_id, count in counts.items():
            self.scheduler.runs(customer_id, count)
        self._counted = set(counts)
        self._asked &= {(one.job_id, one.attempt) for one in running}

    def _bounds(self, paused: Collection[str]) -> dict[Lane, int]:
        """How many more jobs may be released of lanes that are paused, or that not every worker serves."""
        around = self._around.capacity
        bounds = {BY_NAME[name]: 0 for name in paused if name in BY_NAME}
        there = Counter(one.lane for one in self._under_way.runway)
        there.update(one.lane for one in self._under_way.running)
        for lane in LANES:
            if around.served[lane] < around.idle[lane.size]:
                bounds[lane] = min(bounds.get(lane, _MOST_A_ROUND), max(0, around.served[lane] - there[lane]))
        return bounds

    async def _take(
        self, connection: "asyncpg.Connection[Any]", free: Left, bounds: Mapping[Lane, int]
    ) -> list[Waiting]:
        """Choose what is released, a few at a time: no queue of which the ledger has more may seem empty meanwhile."""
        bounds = dict(bounds)
        released = Counter(one.lane.size for one in self._under_way.runway)
        taken: list[Waiting] = []
        while len(taken) < _MOST_A_ROUND:
            left = room(free, ahead(self._around.capacity, self._pace(taken), self._around.policy), released)
            batch = self.scheduler.release({size: min(count, self._least) for size, count in left.items()}, bounds)
            if not batch:
                break
            taken += batch
            for one in batch:
                self.meter.released(one)
                released[one.lane.size] += 1
                self._counted.add(one.customer_id)
                if one.lane in bounds:
                    bounds[one.lane] -= 1
            self._note_short(one.queue for one in batch)
            if self._short:
                short, self._short = self._short, set()
                await self._read(connection, short, without={one.job_id for one in taken if one.queue in short})
        return taken

    def _note_short(self, queues: Iterable[Queue]) -> None:
        for queue in set(queues):
            shown = self.scheduler.shown(queue)
            if shown < self._least and self._known.get(queue):
                self._short.add(queue)
            elif not shown:
                self._known.pop(queue, None)

    def _pace(self, taken: Sequence[Waiting]) -> Mapping[Size, float]:
        """How long jobs of a class take: as lately, or as predicted of those that are about to start."""
        pace = dict(self.meter.pace)
        for one in (*self._under_way.runway, *taken[-1:]):
            pace.setdefault(one.lane.size, one.first_s)
        return pace

    async def _release(
        self, connection: "asyncpg.Connection[Any]", taken: Sequence[Waiting]
    ) -> Sequence[ledger.Released]:
        if not taken:
            return ()
        chosen = [(one.job_id, one.attempt, (one.lane.priority, one.lane.size)) for one in taken]
        released = await ledger.release(connection, chosen, self._last_release)
        there = {one.ticket for one in released}
        for one in taken:
            if (one.job_id, one.attempt) in there:
                self._under_way.runway.append(one)
            else:  # it moved on, or somebody is changing it: its queue is read again
                self.correct([self.meter.refused(one)])
                self._short.add(one.queue)
        if released:
            self._last_release = released[-1].at
        return released

    def _to_give_way(self, now: float, left: Left, bounds: Mapping[Lane, int]) -> list[Running]:
        """Choose running attempts that stop for jobs which found no slot; nobody is asked twice."""
        policy = self._around.policy
        running = [one for one in self._under_way.running if (one.job_id, one.attempt) not in self._asked]
        if all(now - one.since < policy.quantum_s for one in running):
            return []
        count = len(running) + len(self._asked)
        blocked = self._without_a_slot(left)[:count]
        blocked += self.scheduler.blocked(min(_MOST_ASKED, count - len(blocked)), bounds)
        asked = asked_to_give_way(running, blocked[len(self._asked) :], now, policy, self.scheduler.entitled)
        self._asked |= {(one.job_id, one.attempt) for one in asked}
        return asked

    def _without_a_slot(self, left: Left) -> list[Waiting]:
        """Find what is on the runways beyond the free slots."""
        blocked = []
        for one in self._under_way.runway:
            if fits(left, one.lane.size):
                left = used(left, one.lane.size)
            else:
                blocked.append(one)
        return blocked

    def _wait_s(self, look: Look) -> float:
        """How long nothing happens by itself: until a job is due, or running work has had enough to give way."""
        moments = [look.now + LOOK_AT_LEAST_EVERY_S]
        if look.next_due is not None:
            moments.append(look.next_due)
        self._due = None if look.next_due is None else time.monotonic() + look.next_due - look.now
        if self._known or self._under_way.runway:
            policy = self._around.policy
            for one in self._under_way.running:
                if (one.job_id, one.attempt) not in self._asked:
                    turns = (one.since + policy.quantum_s, one.since + policy.turn_s[one.lane.size])
                    moments += [moment for moment in turns if moment > look.now]
        return max(0.001, min(moments) - look.now)

    def _allot(self, allotments: Mapping[UUID, Allotment]) -> None:
        for customer_id in self._allotted | allotments.keys():
            allotment = allotments.get(customer_id, Allotment())
            self.scheduler.weigh(customer_id, allotment.weight)
            self.scheduler.limit(customer_id, allotment.max_running)
        self._allotted = set(allotments)

    def _waiting(self, job: Seen) -> Waiting:
        charge = first_s(job.work_s, job.size, self._around.policy)
        lane = Lane(job.priority, job.size)
        return Waiting(job.job_id, job.attempt, job.customer_id, job.key_id, lane, job.order_at, charge, job.expedited)


def _running(job: Seen) -> Running:
    lane = Lane(job.priority, job.size)
    return Running(job.job_id, job.attempt, job.customer_id, job.key_id, lane, job.order_at, job.since, job.worker_id)


def _queue(name: QueueName) -> Queue:
    return Queue(name[0], name[1], Lane(name[2], name[3]))
