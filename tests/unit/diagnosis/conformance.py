"""Asks the dispatcher and the explanation about the same random situations, and tells where they differ.

The dispatcher's side is put together from what `Lead.round` decides with: capacity, free slots, bounds of lanes, and
the scheduler. Every worker of a situation serves the same lanes: where lanes have different workers the dispatcher lets
a few jobs lie ready before their own have a slot, which is no wrong answer to why they have not started.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from typing import Any
from uuid import UUID

from invoicing.customers.model import CustomerPause
from invoicing.diagnosis.model.causes import examine
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.durations import learn
from invoicing.diagnosis.model.facts import RunningWork, Snapshot, facts_of
from invoicing.jobs.model import Breaker, Job, Size
from invoicing.jobs.model.dependencies import room_to_try
from invoicing.lanes.model import LANES, POLICY, Lane, Pause, Policy, Queue, Scheduler, Waiting, Worker, holds_back
from invoicing.lanes.model.room import capacity, free, lane_bounds

from .situations import NOW, ago, down, waiting, worker

BLOCKS = frozenset({Code.DEPENDENCY_DOWN, Code.PAUSED, Code.NO_WORKER, Code.CUSTOMER_LIMIT, Code.LANE_SATURATED})
"""Causes that the dispatcher itself acts on."""

CUSTOMERS = tuple(UUID(int=number) for number in range(1, 5))
NEEDED = ("archive", "register", "vault")
NEEDS = ("", "", "", "", "archive", "register", "archive register")
HOSTS: Mapping[str, Policy] = {
    "roomy": replace(POLICY, spare=0),
    "careful": replace(POLICY, reserve={**POLICY.reserve, Size.LARGE: 0.5, Size.HUGE: 0.75}),
    "usual": POLICY,
}


@dataclass(frozen=True)
class Situation:
    """Who works, what runs, what is held back, and what waits."""

    workers: Sequence[Worker]
    running: Sequence[tuple[Lane, UUID, UUID]]
    """The slots that are taken: lane, customer, worker."""
    under_way: Mapping[UUID, int]
    """How many jobs of each customer run."""
    pauses: Mapping[str, Pause]
    caps: Mapping[UUID, int]
    breakers: Mapping[str, Breaker]
    """What is down, and not to be tried yet or being tried."""
    jobs: Sequence[Job] = field(default=())
    customer_pauses: Mapping[UUID, CustomerPause] = field(default_factory=dict)

    def without(self, codes: Collection[Code], lane: Lane) -> "Situation":
        """Lift what some causes say, as far as it concerns a lane."""
        idle = Code.LANE_SATURATED in codes
        helper = worker(id=UUID(int=99), slots=64, lanes=tuple(one.name for one in LANES))
        return replace(
            self,
            pauses={name: one for name, one in self.pauses.items() if Code.PAUSED not in codes or name != lane.name},
            customer_pauses={} if Code.PAUSED in codes else self.customer_pauses,
            caps={} if Code.CUSTOMER_LIMIT in codes else self.caps,
            breakers={} if Code.DEPENDENCY_DOWN in codes else self.breakers,
            running=() if idle else self.running,
            workers=[*self.workers, helper] if Code.NO_WORKER in codes else self.workers,
        )


def situation(seed: int) -> Situation:
    """Build one; the same seed builds the same."""
    chance = Random(seed)
    lanes = LANES if chance.random() < 0.5 else tuple(chance.sample(LANES, 6))
    workers = [
        worker(
            id=UUID(int=100 + number),
            host=chance.choice(tuple(HOSTS)),
            slots=chance.randint(1, 9),
            lanes=tuple(lane.name for lane in lanes),
            alive=chance.random() < 0.9,
            stopping=chance.random() < 0.1,
        )
        for number in range(chance.randint(1, 3))
    ]
    running = [
        (chance.choice(lanes), chance.choice(CUSTOMERS), one.id)
        for one in workers
        for _ in range(chance.choice((0, one.slots // 2, one.slots, one.slots + 1)))
    ]
    paused = chance.sample(LANES, 3)
    return Situation(
        workers,
        running,
        Counter(customer for _, customer, _ in running),
        {lane.name: Pause(lane.name, ago(900), ago(chance.uniform(-9, 3)), "It moves.", "Ops") for lane in paused},
        {customer: chance.randint(1, 6) for customer in chance.sample(CUSTOMERS, 2)},
        {name: _down(chance, name) for name in chance.sample(NEEDED, chance.randint(0, 2))},
        [_job(chance, number) for number in range(6)],
        {
            customer: CustomerPause(customer, ago(800), ago(chance.uniform(-9, 3)), "It runs away.", "Ops")
            for customer in chance.sample(CUSTOMERS, chance.randint(0, 1))
        },
    )


def _down(chance: Random, name: str) -> Breaker:
    trying = {"trying": True, "tried_at": ago(2), "job_id": UUID(int=77), "attempt": 1}
    return down(60, chance.uniform(0.1, 99), name=name, **chance.choice(({}, trying)))


def _job(chance: Random, number: int) -> Job:
    lane = chance.choice(LANES)
    customer, waited = chance.choice(CUSTOMERS), chance.uniform(30, 300)
    where: dict[str, Any] = {"priority": lane.priority, "size": lane.size, "needs": chance.choice(NEEDS)}
    return waiting(waited, id=UUID(int=1_000 + number), customer_id=customer, **where)


def released(given: Situation, jobs: Sequence[Job]) -> set[UUID]:
    """Name the jobs to which the dispatcher gives a slot now, if these are all that wait."""
    offered = capacity((one, one.slots, _policy_of(one.host)) for one in given.workers)
    left = free(offered, ((worker_id, lane.size) for lane, _, worker_id in given.running))
    held = [lane for lane in LANES if lane.name in given.pauses and _held(given.pauses[lane.name])]
    scheduler = Scheduler(POLICY)
    for job in jobs:
        lane = Lane(job.priority, job.size)
        queue = Queue(job.customer_id, job.key_id, lane, job.needs)
        due, seconds = job.order_at.timestamp(), job.predicted_s
        one = Waiting(job.id, 1, job.customer_id, job.key_id, lane, due, seconds, needs=job.needs)
        heads = sorted([*scheduler.first_of(queue), one], key=lambda each: (each.order_at, each.job_id))
        scheduler.show(queue, heads)
    for customer in CUSTOMERS:
        scheduler.runs(customer, given.under_way.get(customer, 0))
        on_hold = customer in given.customer_pauses and _held(given.customer_pauses[customer])
        scheduler.limit(customer, 0 if on_hold else given.caps.get(customer))
    scheduler.hold(room_to_try(given.breakers, NOW))
    there = Counter(lane for lane, _, _ in given.running)
    return {one.job_id for one in scheduler.release(left, lane_bounds(offered, held, there))}


def blocked_by(given: Situation, job: Job) -> frozenset[Code]:
    """Name the causes that hold a job back, as they are explained."""
    running: dict[Lane, list[RunningWork]] = {}
    for number, (lane, customer, worker_id) in enumerate(given.running):
        work = RunningWork(5.0, ago(60), UUID(int=5_000 + number), customer, worker_id)
        running.setdefault(lane, []).append(work)
    snapshot = Snapshot(
        now=NOW,
        workers=tuple(given.workers),
        pauses=given.pauses,
        customer_pauses=given.customer_pauses,
        running={lane: tuple(works) for lane, works in running.items()},
        runways={},
        places={},
        caps=given.caps,
        attempts={},
        history=learn((), None),
        policy_of=_policy_of,
        breakers=given.breakers,
    )
    return frozenset(check.code for check in examine(facts_of(snapshot, job, 3)) if check.holds) & BLOCKS


def differences(given: Situation) -> Iterator[str]:
    """Tell where the explanation of a situation is not what the dispatcher does in it."""
    together = released(given, given.jobs)
    causes = {job.id: blocked_by(given, job) for job in given.jobs}
    for job in given.jobs:
        lane, holding = Lane(job.priority, job.size), causes[job.id]
        if bool(holding) is bool(released(given, [job])):
            does = "starts" if holding else "does not start"
            yield f"{lane.name}: the dispatcher {does} it; causes: {sorted(holding)}"
        if job.id in together and holding:
            yield f"{lane.name}: it is started among others in spite of {sorted(holding)}"
        if not (holding or together):
            yield f"{lane.name}: nothing holds it back, and nothing is started"
        if holding and not released(given.without(holding, lane), [job]):
            yield f"{lane.name}: it does not start without {sorted(holding)} either"
        for others in combinations(sorted(holding), max(0, len(holding) - 1)):
            if holding and released(given.without(others, lane), [job]):
                yield f"{lane.name}: it starts without {others}, so the rest of {sorted(holding)} is no reason"


def found(situations: int, build: Callable[[int], Situation] = situation) -> list[tuple[int, str]]:
    """Look for differences in so many situations; each with its seed."""
    return [(seed, one) for seed in range(situations) for one in differences(build(seed))]


def _held(pause: Pause | CustomerPause) -> bool:
    return holds_back(pause.until.timestamp(), NOW.timestamp())


def _policy_of(host: str | None) -> Policy:
    return HOSTS.get(host or "", POLICY)
