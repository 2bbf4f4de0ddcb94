"""Weeks in virtual time: nobody is paged while all is well, and what is planted is found, alone, and ends by itself.

Real: the rules about lanes and jobs, when a condition ends, how findings are made of facts, the course of incidents.
Simulated: the service itself (traffic, workers, a dispatcher that starts the oldest first), and what statements would
read of it. It is looked at with each change and at least every minute, and every second while anything is unsettled.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from invoicing.incidents.model.causes import Cause
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Lane

from .faults import plant
from .tasks import Opened, Task
from .world import World

DAY_S = 86_400.0
WORKERS, SLOTS = 3, 4
PER_S = 0.05
"""Jobs, beside bursts."""

_DEPLOY_S, _BETWEEN_S = 20.0, 25.0
_BEFORE_S, _OUTAGE_PER_S = 120.0, 0.15
"""Well before an outage, half of what its workers can do."""

_SIZES = ((1.0, Size.SMALL), (30.0, Size.MEDIUM), (900.0, Size.LARGE))
_QUIET_S = 2_700.0
"""Between two planted faults, so that the second is not taken for the first that comes back."""


@dataclass(frozen=True)
class Planted:
    """A fault, from when to when."""

    cause: Cause
    at_s: float
    ends_s: float


@dataclass(frozen=True)
class Verdict:
    """What became of the planted faults, and what was told beside."""

    found: Sequence[Planted]
    missed: Sequence[Planted]
    false: Sequence[Opened]
    left: int
    """Incidents that were not over at the end."""


def healthy(days: float, seed: int, per_s: float = PER_S) -> World:
    """Let a fleet with heavy-tailed traffic, retries, bursts, deploys and another size by day be well."""
    world = World(random.Random(seed))
    for number in range(WORKERS):
        world.join(f"host-{number}", SLOTS)
    _traffic(world, days * DAY_S, per_s)
    for day in range(int(days) + 1):
        morning = day * DAY_S
        _deploy(world, morning + 43_200.0)
        world.later(morning + 32_400.0, lambda: world.join("host-by-day", SLOTS))
        world.later(morning + 61_200.0, lambda: world.leave("host-by-day"))
    return world


def seeded(
    days: float, causes: Sequence[Cause], seed: int, most_s: float = 600.0, per_s: float = PER_S
) -> tuple[World, list[Planted]]:
    """Plant faults of these causes in any order, at any moment and for any time, one after the other."""
    world = healthy(days, seed, per_s)
    chance, share_s = random.Random(seed), days * DAY_S / len(causes)
    planted = []
    for number, cause in enumerate(chance.sample(causes, len(causes))):
        lasts_s = chance.uniform(90.0, most_s)
        at_s = number * share_s + chance.uniform(0, max(0.0, share_s - lasts_s - _QUIET_S))
        plant(world, cause, at_s, lasts_s)
        planted.append(Planted(cause, at_s, at_s + lasts_s))
    return world, planted


def judged(world: World, planted: Sequence[Planted]) -> Verdict:
    """Compare what was opened with what was planted: each fault explains one cause, from its beginning to its end."""
    left, found, missed = list(world.opened), list[Planted](), list[Planted]()
    for fault in planted:
        ones = [one for one in left if one.cause is fault.cause and fault.at_s <= one.at_s <= fault.ends_s + 90.0]
        (found if len(ones) == 1 else missed).append(fault)
        left = [one for one in left if one not in ones[:1]]
    return Verdict(found, missed, left, len(world.live))


def flapping() -> int:
    """Let an event loop stand still and go on twenty times in ten minutes; gives how often somebody is alerted."""
    world = World(random.Random(1))
    world.join("host", SLOTS)
    world.join("other", SLOTS)
    for turn in range(20):
        world.later(30.0 * turn, lambda: world.block("host"))
        world.later(30.0 * turn + 15.0, lambda: world.unblock("host"))
    world.run(3_600.0)
    return len(world.opened)


def outage(lasts_s: float, *, killed: bool, seed: int = 1) -> World:
    """Let all workers be away, or fall silent, while jobs come that are promised within five minutes; and drain."""
    world = World(random.Random(seed))
    _fleet(world)
    for at_s in _moments(world.chance, _OUTAGE_PER_S, _BEFORE_S + 2 * lasts_s):
        lane = Lane(Priority.NORMAL, Size.MEDIUM)
        world.arrive(at_s, Task(world.chance.randrange(40), "drill", lane, world.chance.uniform(5, 15), promise_s=300))
    world.later(_BEFORE_S, partial(_fall, world, killed=killed))
    world.later(_BEFORE_S + lasts_s, partial(_fleet, world))
    world.run(_BEFORE_S + 5 * lasts_s)
    return world


def _fleet(world: World) -> None:
    for number in range(WORKERS):
        world.join(f"host-{number}", 1)


def _fall(world: World, *, killed: bool) -> None:
    for host, one in [*world.hosts.items()]:
        if killed:
            one.silent_s = world.now_s
        else:
            world.leave(host)


def _traffic(world: World, until_s: float, per_s: float) -> None:
    for at_s in _moments(world.chance, per_s, until_s):
        world.arrive(at_s, task_of(world.chance, min(7_200.0, 0.3 * world.chance.paretovariate(0.9))))
    for at_s in _moments(world.chance, 1 / 7_200.0, until_s):
        for _ in range(40):
            world.arrive(at_s, task_of(world.chance, world.chance.uniform(0.3, 5.0), Priority.BULK))


def _moments(chance: random.Random, per_s: float, until_s: float) -> Iterator[float]:
    at_s = chance.expovariate(per_s)
    while at_s < until_s:
        yield at_s
        at_s += chance.expovariate(per_s)


def task_of(chance: random.Random, takes_s: float, priority: Priority = Priority.NORMAL) -> Task:
    """Make a job of anybody; one of fifty fails at first."""
    size = next((size for most_s, size in _SIZES if takes_s <= most_s), Size.HUGE)
    kind = "register.entry" if chance.random() < 0.1 else "drill"
    fails = chance.choice(("timeout", "child_died", "conflict")) if chance.random() < 0.02 else None
    return Task(chance.randrange(40), kind, Lane(priority, size), takes_s, fails)


def _deploy(world: World, at_s: float) -> None:
    for number in range(WORKERS):
        host, began_s = f"host-{number}", at_s + number * (_DEPLOY_S + _BETWEEN_S)
        world.later(began_s, partial(world.leave, host))
        world.later(began_s + _DEPLOY_S, partial(world.join, host, SLOTS))
