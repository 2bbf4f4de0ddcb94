"""What the dispatcher that leads knows, and one round of deciding with it: look, choose, release, ask to give way."""

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Size
from invoicing.jobs.model.backlog import Look, Place, Seen, Ticket
from invoicing.lanes.allotting import Allotting
from invoicing.lanes.model import (
    BY_PARTS,
    Lane,
    Running,
    Scheduler,
    Waiting,
    asked_to_give_way,
    fits,
    used,
)
from invoicing.lanes.model.metering import Charge, Meter
from invoicing.lanes.model.notice import Notices
from invoicing.lanes.model.quota import Left
from invoicing.lanes.model.resting import rest_s
from invoicing.lanes.model.room import Capacity, ahead, free, lane_bounds, room
from invoicing.lanes.outlook import LOOK_AT_LEAST_EVERY_S, Outlook
from invoicing.lanes.surroundings import Surroundings
from invoicing.lanes.trying import begin_to_try, held_back, newest, to_try

_MOST_A_ROUND = 2_000
"""Jobs released in one round: more would keep a pause waiting for the end of it."""
_MOST_ASKED = 64
"""Jobs that are looked at, at most, to find those that running work gives way to."""
_STANDS_STILL_S = 0.25
"""A ticket that lay on the runway for longer was put there for work that takes longer than it was thought to."""


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
    released_at: Mapping[UUID, float] = field(default_factory=dict)
    """When those on the runways were released that lay there at the last look (seconds since the epoch)."""
    lanes: Mapping[Lane, int] = field(default_factory=dict)
    """How many run of each lane."""
    turns: Sequence[float] = ()
    """When running attempts have had enough to give way, the next one first."""


class Lead:
    """All that deciding needs; rebuilt from the ledger by whoever takes the lead."""

    def __init__(self, surroundings: Surroundings, accounts: Mapping[UUID, float]) -> None:
        """Know nothing of the backlog yet: the first round looks everywhere."""
        self.notices = Notices()
        self.meter = Meter()
        self.scheduler = Scheduler(surroundings.policy)
        self.scheduler.restore(accounts)
        self._outlook = Outlook(self.scheduler)
        self._around = surroundings
        self._allotting = Allotting(self.scheduler)
        self._allotting.allot(surroundings.allotments)
        self._under_way = _UnderWay()
        self._busy: set[UUID] = set()
        self._asked: set[Ticket] = set()
        """Attempts that were asked to give way and still hold their slots."""
        self._last_release = 0.0
        self._left: tuple[Capacity, Left] | None = None
        """What was free when what runs was read, on the workers that there were."""
        self._count_at = -1e9
        """When it is worth while again to read what is under way (seconds of the monotonic clock)."""
        self._counting_took_s = 0.0

    def adopt(self, surroundings: Surroundings) -> bool:
        """Go on with other workers, another policy, other weights and caps; tells whether that is worth a round."""
        surroundings = replace(surroundings, breakers=newest(self._around.breakers, surroundings.breakers))
        if surroundings == self._around:
            return False
        if surroundings.policy != self._around.policy:
            self.scheduler.adopt(surroundings.policy)
        self._around = surroundings
        self._allotting.allot(surroundings.allotments)
        self.notices.room = True
        return bool(self._outlook)

    def correct(self, charges: Iterable[Charge]) -> None:
        """Count service that differs from what was charged in advance."""
        for charge in charges:
            self.scheduler.charge(*charge)

    @property
    def worth_a_round(self) -> bool:
        """Whether what was told since the last round can change anything."""
        if self._outlook.differs(self.notices):
            return True
        return bool(self.notices.room and self._outlook) and time.monotonic() >= self._count_at

    async def round(self, connection: "asyncpg.Connection[Any]") -> Round:
        """Release what there is room for; two statements, unless pauses changed or queues have to be read on."""
        look, counted = await self._look(connection)
        left = self._free()
        self.scheduler.hold(to_try(self._around.breakers, look.now))
        there = Counter(self._under_way.lanes)
        there.update(one.lane for one in self._under_way.runway)
        bounds = lane_bounds(self._around.capacity, await self._allotting.held(connection, look), there)
        if counted and await self._recall(connection, look.now, bounds):
            return Round(wait_s=0.0)
        taken = await self._try(connection, await self._take(connection, left, bounds))
        released = await self._release(connection, taken, look.withdrawals)
        blocked = self._without_a_slot(left)
        asked = self._to_give_way(look.now, blocked, bounds) if counted else []
        if asked:
            await ledger.ask_to_give_way(connection, [one.job_id for one in asked])
        if counted:
            self._rest(len(blocked))
        work_s = {one.job_id: one.first_s for one in taken}
        return Round(released, work_s, [one.job_id for one in asked], self._wait_s(look))

    async def _look(self, connection: "asyncpg.Connection[Any]") -> tuple[Look, bool]:
        """Read what changed; where much is under way, that only now and then (what ended since counts until then)."""
        notices, self.notices = self.notices, Notices(everywhere=False)
        began = time.monotonic()
        counting = began >= self._count_at
        look = await self._outlook.look(connection, notices, under_way=counting)
        if counting:
            self._observe(look)
            self._counting_took_s = time.monotonic() - began
            self._rest(len(self._under_way.runway))
        return look, counting

    def _observe(self, look: Look) -> None:
        """Take in what runs and what is on the runways."""
        running = [_running(job) for job in look.jobs if job.place is Place.RUNNING]
        runway = sorted((job for job in look.jobs if job.place is Place.RELEASED), key=lambda job: job.since)
        released_at = {job.job_id: job.since for job in runway}
        lanes = Counter(one.lane for one in running)
        waiting = [self._outlook.waiting(job) for job in runway]
        self._under_way = _UnderWay(running, waiting, released_at, lanes, self._turns(running))
        self._left = None
        if runway:
            self._last_release = max(self._last_release, runway[-1].since)
        self.correct(self.meter.observe(running, self._under_way.runway, look.now))
        counts = Counter(one.customer_id for one in running)
        counts.update(one.customer_id for one in self._under_way.runway)
        for customer_id in self._busy - counts.keys():
            self.scheduler.runs(customer_id, 0)
        for customer_id, count in counts.items():
            self.scheduler.runs(customer_id, count)
        self._busy = set(counts)
        self._asked &= {(one.job_id, one.attempt) for one in running if one.worker_id is not None}

    def _free(self) -> Left:
        """Count what is free on the workers: the same until what runs is read again, or workers change."""
        capacity = self._around.capacity
        if self._left is None or self._left[0] is not capacity:
            held = ((one.worker_id, one.lane.size) for one in self._under_way.running)
            self._left = capacity, free(capacity, held)
        return self._left[1]

    def _turns(self, running: Iterable[Running]) -> list[float]:
        """List the moments at which running attempts, unless asked already, have had enough to give way."""
        policy = self._around.policy
        unasked = [one for one in running if (one.job_id, one.attempt) not in self._asked]
        quanta = [one.since + policy.quantum_s for one in unasked]
        return sorted(quanta + [one.since + policy.turn_s[one.lane.size] for one in unasked])

    async def _recall(self, connection: "asyncpg.Connection[Any]", now: float, bounds: Mapping[Lane, int]) -> bool:
        """Take back what stands still on the runway where somebody else would go first by now; tells whether it did.

        A ticket lies ready for a moment, as long as a few short jobs take. Where those turn out long, those behind
        would start before whoever came since, however much their customer had meanwhile. And what is held back by now.
        """
        still = [
            one
            for one in self._under_way.runway
            if not one.expedited and now - self._under_way.released_at.get(one.job_id, now) > _STANDS_STILL_S
        ]
        first = self.scheduler.blocked(1, bounds) if still else []
        over = [one for one in still if first and not self.scheduler.entitled(one, _as_running(first[0], now))]
        over += [one for one in held_back(self._under_way.runway, self._around.breakers) if one not in over]
        recalled = await ledger.recall(connection, [one.job_id for one in over]) if over else set()
        for one in (one for one in over if one.job_id in recalled):
            self._under_way.runway.remove(one)
            self._refuse(one)
        return bool(recalled)

    async def _try(self, connection: "asyncpg.Connection[Any]", taken: Sequence[Waiting]) -> list[Waiting]:
        """Note who is to try what is down before it is released; whoever may not any more waits on."""
        if not self._around.breakers:
            return list(taken)
        breakers, refused = await begin_to_try(connection, self._around.breakers, taken)
        self._around = replace(self._around, breakers=breakers)
        for one in refused.values():
            self._refuse(one)
        return [one for one in taken if one.job_id not in refused]

    def _refuse(self, one: Waiting) -> None:
        """Let a job wait that was chosen: it moved on, or somebody is changing it."""
        self.correct([self.meter.refused(one)])
        self._outlook.note([one.queue], doubtful=True)

    async def _take(
        self, connection: "asyncpg.Connection[Any]", free: Left, bounds: Mapping[Lane, int]
    ) -> list[Waiting]:
        """Choose what is released, a few at a time: no queue of which the ledger has more may seem empty meanwhile."""
        bounds = dict(bounds)
        ready = Counter(one.lane.size for one in self._under_way.runway)
        taken: list[Waiting] = []
        while len(taken) < _MOST_A_ROUND:
            left = room(free, ahead(self._around.capacity, self._pace(taken), self._around.policy), ready)
            at_once = {size: min(count, self._outlook.least) for size, count in left.items()}
            batch = self.scheduler.release(at_once, bounds)
            if not batch:
                break
            for one in batch:
                self.meter.released(one)
                ready[one.lane.size] += 1
                if one.lane in bounds:
                    bounds[one.lane] -= 1
            taken += batch
            self._busy |= {one.customer_id for one in batch}
            await self._outlook.refill(connection, taken, len(batch))
        return taken

    def _pace(self, taken: Sequence[Waiting]) -> Mapping[Size, float]:
        """How long jobs of a class take: as lately, or as predicted of those that are about to start."""
        pace = dict(self.meter.pace)
        for one in (*self._under_way.runway[:1], *taken[-1:]):
            pace.setdefault(one.lane.size, one.first_s)
        return pace

    async def _release(
        self, connection: "asyncpg.Connection[Any]", taken: Sequence[Waiting], withdrawals: int
    ) -> Sequence[ledger.Released]:
        if not taken:
            return ()
        chosen = [(one.job_id, one.attempt, (one.lane.priority, one.lane.size)) for one in taken]
        released = await ledger.release(connection, chosen, withdrawals, self._last_release)
        there = {one.ticket for one in released}
        for one in taken:
            if (one.job_id, one.attempt) in there:
                self._under_way.runway.append(one)
            else:
                self._refuse(one)
        if released:
            self._last_release = released[-1].at
        return released

    def _without_a_slot(self, left: Left) -> list[Waiting]:
        """Find what is on the runways beyond the free slots."""
        blocked: list[Waiting] = []
        for place, one in enumerate(self._under_way.runway):
            if left[Size.SMALL] <= 0:
                return blocked + self._under_way.runway[place:]
            if fits(left, one.lane.size):
                left = used(left, one.lane.size)
            else:
                blocked.append(one)
        return blocked

    def _to_give_way(self, now: float, ready: Sequence[Waiting], bounds: Mapping[Lane, int]) -> list[Running]:
        """Choose running attempts that stop for jobs which found no slot, `ready` or not; nobody is asked twice."""
        policy = self._around.policy
        running = [
            one
            for one in self._under_way.running
            if one.worker_id is not None and (one.job_id, one.attempt) not in self._asked
        ]
        if all(now - one.since < policy.quantum_s for one in running):
            return []
        count = len(running) + len(self._asked)
        blocked = list(ready[:count])
        blocked += self.scheduler.blocked(min(_MOST_ASKED, count - len(blocked)), bounds)
        asked = asked_to_give_way(running, blocked[len(self._asked) :], now, policy, self.scheduler.entitled)
        self._asked |= {(one.job_id, one.attempt) for one in asked}
        return asked

    def _rest(self, ready: int) -> None:
        """Let a part of what lies ready be used before what is under way is read again."""
        rest = rest_s(
            took_s=self._counting_took_s,
            under_way=len(self._under_way.running) + len(self._under_way.runway),
            ready=ready,
            slots=self._around.capacity.slots,
            usual_s=self.meter.pace.get(Size.SMALL),
            ends_per_s=self.meter.ends.per_s,
        )
        self._count_at = max(self._count_at, time.monotonic() + rest)

    def _wait_s(self, look: Look) -> float:
        """How long nothing happens by itself: a job is due, a pause ends, or running work has had its turn."""
        changes = (look.next_due, self._allotting.next_end(look.now))
        moments = [look.now + LOOK_AT_LEAST_EVERY_S, *(at for at in changes if at is not None)]
        if self._outlook or self._under_way.runway:
            turns = self._under_way.turns
            moments += turns[bisect_right(turns, look.now) :][:1]
        if self._outlook and self._count_at > time.monotonic():
            moments.append(look.now + self._count_at - time.monotonic())
        return max(0.001, min(moments) - look.now)


def _as_running(one: Waiting, now: float) -> Running:
    """See a waiting job as if it had just been chosen."""
    return Running(one.job_id, one.attempt, one.customer_id, one.key_id, one.lane, one.order_at, now)


def _running(job: Seen) -> Running:
    lane = BY_PARTS[job.priority, job.size]
    return Running(job.job_id, job.attempt, job.customer_id, job.key_id, lane, job.order_at, job.since, job.worker_id)
