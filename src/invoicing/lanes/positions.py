"""The place of waiting jobs: what starts before each under the policy that holds, by the scheduler that decides it.

It looks at no more than a bounded number of jobs, the first of each queue, and anybody who asks within a fraction of a
second is given the same answer: any number of pollers, and any backlog, cost one computation now and then.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from invoicing.customers import service as customers
from invoicing.customers.model import Allotment
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Job, Size
from invoicing.jobs.model.backlog import Come, Look, Place, QueueName, Seen
from invoicing.kit.db import Session, driver
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, LANES, SIZES, Lane, Queue, Scheduler, Waiting, Worker, quotas
from invoicing.lanes.model.line import Ahead, Held, Line, banded, line_of, play
from invoicing.lanes.model.metering import first_s
from invoicing.lanes.model.newcomers import LATELY_S, MOST_LATELY, Arrival, Coming, Newcomer, newcomers
from invoicing.lanes.policies import Policies, all_policies

MOST = 1_000
"""Waiting jobs that are looked at; behind them a place is "at least"."""

MOST_QUEUES = 500
"""Queues that are looked at, so that at least two jobs of each are."""

KEPT_S = 0.5
"""How long an answer is good for (seconds); longer where it took long to find, by `_REST`."""

_REST = 8
"""Computing takes no more than one part in so many of the time."""


@dataclass(frozen=True)
class Scene:
    """All that decides who starts before whom, as it was read at one moment."""

    look: Look
    cut: frozenset[QueueName]
    """The queues that go on behind what was looked at."""
    every_queue: bool
    policies: Policies
    allotments: Mapping[UUID, Allotment]
    served: Mapping[UUID, float]
    workers: Sequence[Worker]
    closed: frozenset[Lane]
    on_hold: frozenset[UUID]
    """Customers that are paused: nothing of them starts, so that it has no place."""
    down: frozenset[str]
    """What is down that jobs need from outside."""
    coming: Sequence[Newcomer]
    """Who is supposed to come meanwhile, by what came lately."""


@dataclass(frozen=True)
class Positions:
    """Who starts before whom, at one moment of PostgreSQL's clock (seconds since the epoch)."""

    at: float
    policies: Policies
    line: Line
    then: Line
    """The same, if jobs go on to come as they came lately; with these among them."""
    last_of: Mapping[QueueName, UUID]
    """The last job that was looked at in each queue that goes on behind it."""
    seen: frozenset[QueueName]
    every_queue: bool
    """Whether all queues were looked at."""
    scene: Scene

    def ahead(self, job: Job) -> Ahead | None:
        """Say what starts before a waiting job; None where that is not known (yet)."""
        found = self.line.ahead(job.id)
        if found is not None:
            return banded(found, self.then.ahead(job.id))
        last = self.last_of.get(_queue_of(job))
        return None if last is None else self.line.behind(last, job.size)

    def too_old_for(self, job: Job) -> bool:
        """Whether a job should have been found, had it waited already when this was read."""
        known = job.id in self.line.places or _queue_of(job) in self.last_of or job.customer_id in self.scene.on_hold
        return not known and (self.every_queue or _queue_of(job) in self.seen)


_kept: WeakKeyDictionary[Engine, tuple[float, float, Positions]] = WeakKeyDictionary()
"""For each database of this process: when positions were computed, how long they are good for, and they."""

_computing: WeakKeyDictionary[Engine, asyncio.Lock] = WeakKeyDictionary()


async def positions(session: Session, jobs: Sequence[Job], *, fresh: bool = False) -> Positions:
    """Give the places of waiting jobs as of a moment ago; `fresh`: as this transaction sees them now, for itself."""
    if fresh:
        return await compute(session)
    engine = session.engine.sync_engine
    lock = _computing.setdefault(engine, asyncio.Lock())
    kept = _good(engine, jobs)
    if kept is not None:
        return kept
    async with lock:  # who comes while somebody computes takes what that one found
        kept = _good(engine, jobs)
        if kept is None:
            began = time.monotonic()
            kept = await compute(session)
            ended = time.monotonic()
            _kept[engine] = (ended, max(KEPT_S, _REST * (ended - began)), kept)
        return kept


def _good(engine: Engine, jobs: Sequence[Job]) -> Positions | None:
    """Give what is kept while it is good; for a job that came since, only as long as finding it cost."""
    if engine not in _kept:
        return None
    computed_at, good_for, kept = _kept[engine]
    age = time.monotonic() - computed_at
    newcomers = any(kept.too_old_for(job) for job in jobs)
    return kept if age < (good_for - KEPT_S if newcomers else good_for) else None


async def with_newcomer(session: Session, job: Job) -> Positions:
    """Give the places as they would be if a job that nobody has submitted came now; computed for each caller."""
    return await _played(_joined((await positions(session, ())).scene, job))


async def compute(session: Session) -> Positions:
    """Compute the places of the first waiting jobs of every queue."""
    return await _played(await _read(session))


async def _read(session: Session) -> Scene:
    policies, allotments = await all_policies(session), await customers.allotments(session)
    look, cut, complete = await _look(session)
    workers = [worker for worker in await store.all_workers(session) if worker.alive and not worker.stopping]
    closed = {BY_NAME[pause.lane] for pause in await store.active_pauses(session) if pause.lane in BY_NAME}
    if workers:
        closed.update(lane for lane in LANES if not any(lane.name in worker.lanes for worker in workers))
    on_hold = frozenset(await customers.active_pauses(session))
    served = await store.served(session, {one.customer_id for one in _of(look, Place.WAITING)})
    coming = _coming(await ledger.lately(await driver(session), MOST_LATELY), policies, look.now)
    down = frozenset(await ledger.breakers(session))
    known = (look, frozenset(cut), complete, policies, allotments, served, workers)
    return Scene(*known, frozenset(closed), on_hold, down, coming)


def _coming(lately: Sequence[Come], policies: Policies, now: float) -> Sequence[Newcomer]:
    """Suppose that jobs go on to come as they came in the last minute, or since the last few hundred."""
    known = [one for one in lately if one.ago_s <= LATELY_S]
    span_s = known[-1].ago_s if known and len(known) == MOST_LATELY else LATELY_S
    return newcomers([Arrival(one.ago_s, _as_it_came(one, policies, now)) for one in known], span_s, now)


def _as_it_came(one: Come, policies: Policies, now: float) -> Waiting:
    customer, key, priority, size, needs = one.queue
    order_at = now - one.ago_s + policies.fleet.due_after(priority, size).total_seconds()
    charged_s = first_s(one.work_s, size, policies.fleet)
    return Waiting(UUID(int=0), 1, customer, key, Lane(priority, size), order_at, charged_s, needs=needs)


def _joined(scene: Scene, job: Job) -> Scene:
    """Let a job wait in its queue, unless so many wait before it that it would not have been looked at."""
    queue, order_at = _queue_of(job), job.order_at.timestamp()
    jobs = scene.look.jobs
    last = max(
        ((one.order_at, one.job_id) for one in jobs if one.queue == queue and one.place is Place.WAITING), default=None
    )
    if queue in scene.cut and last is not None and last < (order_at, job.id):
        return scene
    one = Seen(Place.WAITING, job.id, 1, *queue, order_at, job.predicted_s, 0.0, None, expedited=False)
    waiting = sorted([*_of(scene.look, Place.WAITING), one], key=lambda each: (each.order_at, each.job_id))
    others = [each for each in jobs if each.place is not Place.WAITING]
    return replace(scene, look=scene.look._replace(jobs=[*waiting, *others]))


async def _played(scene: Scene) -> Positions:
    """Play the scheduler forward from a scene."""
    look, policies = scene.look, scene.policies
    queues = _queues(look, policies)
    waiting = sum(one.customer_id not in scene.on_hold for one in _of(look, Place.WAITING))
    runway = [_waiting(one, policies) for one in _of(look, Place.RELEASED)]
    quota, work_s = _quota(scene.workers, policies), {one.job_id: one.work_s for one in look.jobs}
    held, quantum = _held(look, policies), policies.fleet.quantum_s

    def played(coming: Coming | None) -> Line:
        scheduler = _scheduler(look, queues, policies, scene.allotments)
        scheduler.restore(scene.served)
        for customer_id in scene.on_hold:
            scheduler.limit(customer_id, 0)
        scheduler.hold(dict.fromkeys(scene.down, 0))
        found = play(scheduler, runway, held, quota, scene.closed, coming)
        return line_of(found.started, work_s, quantum, found.starts_in_s)

    line = await asyncio.to_thread(played, None)  # computing must not hold up whoever else is served
    then = await asyncio.to_thread(played, Coming(scene.coming, waiting)) if scene.coming and waiting else line
    heads = _heads(look)
    last_of = {name: heads[name][-1].job_id for name in scene.cut}
    return Positions(look.now, policies, line, then, last_of, frozenset(heads), scene.every_queue, scene)


async def _look(session: Session) -> tuple[Look, set[QueueName], bool]:
    """Read the first jobs of the queues, deeper where few queues go on; tells which of them go on even so."""
    connection = await driver(session)
    async with ledger.by_index(connection):
        asked = await ledger.queues(connection, MOST_QUEUES)
        depth = MOST // max(1, len(asked))
        look = await ledger.look(connection, dict.fromkeys(asked), depth)
        counts = Counter(one.queue for one in _of(look, Place.WAITING))
        cut = {name for name, count in counts.items() if count >= depth}
        left = MOST - counts.total()
        if cut and left >= len(cut):
            deeper = depth + left // len(cut)
            more = await ledger.look(connection, dict.fromkeys(cut), deeper, under_way=False)
            kept = [one for one in look.jobs if one.place is not Place.WAITING or one.queue not in cut]
            look = look._replace(jobs=[*kept, *more.jobs])
            counts = Counter(one.queue for one in more.jobs)
            cut = {name for name, count in counts.items() if count >= deeper}
    return look, cut, len(asked) < MOST_QUEUES


def _of(look: Look, place: Place) -> list[Seen]:
    return sorted((one for one in look.jobs if one.place is place), key=lambda one: (one.since, one.order_at))


def _heads(look: Look) -> dict[QueueName, list[Seen]]:
    found: dict[QueueName, list[Seen]] = {}
    for one in look.jobs:
        if one.place is Place.WAITING:
            found.setdefault(one.queue, []).append(one)
    return found


def _queues(look: Look, policies: Policies) -> dict[Queue, list[Waiting]]:
    return {
        Queue(customer, key, Lane(priority, size), needs): [_waiting(one, policies) for one in heads]
        for (customer, key, priority, size, needs), heads in _heads(look).items()
    }


def _scheduler(
    look: Look, queues: Mapping[Queue, Sequence[Waiting]], policies: Policies, allotments: Mapping[UUID, Allotment]
) -> Scheduler:
    scheduler = Scheduler(policies.fleet)
    for queue, heads in queues.items():
        scheduler.show(queue, heads)
    for customer_id, count in Counter(one.customer_id for one in look.jobs if one.place is not Place.WAITING).items():
        scheduler.runs(customer_id, count)
    for customer_id, allotment in allotments.items():
        scheduler.weigh(customer_id, allotment.weight)
        scheduler.limit(customer_id, allotment.max_running)
    return scheduler


def _held(look: Look, policies: Policies) -> list[Held]:
    quantum = policies.fleet.quantum_s
    return [
        Held(one.size, one.customer_id, min(max(0.0, quantum - (look.now - one.since)), one.work_s))
        for one in _of(look, Place.RUNNING)
    ]


def _quota(workers: Sequence[Worker], policies: Policies) -> dict[Size, int]:
    """Add up what workers may run; one slot where there is none, so that there is an order all the same."""
    every = [quotas(worker.slots, policies.of(worker.host)) for worker in workers] or [quotas(1, policies.fleet)]
    return {size: sum(quota[size] for quota in every) for size in SIZES}


def _waiting(one: Seen, policies: Policies) -> Waiting:
    lane = Lane(one.priority, one.size)
    charged_s = first_s(one.work_s, one.size, policies.fleet)
    of = (one.customer_id, one.key_id, lane)
    return Waiting(one.job_id, one.attempt, *of, one.order_at, charged_s, one.expedited, one.needs)


def _queue_of(job: Job) -> QueueName:
    return job.customer_id, job.key_id, job.priority, job.size, job.needs
