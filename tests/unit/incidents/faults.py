"""Faults of every cause in the simulated service, each with its end."""

from collections.abc import Callable, Mapping

from invoicing.incidents.model.causes import Cause
from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Lane

from .tasks import KINDS, Task
from .world import World

PLANTED = tuple(cause for cause in Cause if cause is not Cause.NOBODY_ON_DUTY)
"""Whatever may be the matter with the service; who is on duty is no part of it."""

_Made = dict[str, Task]
"""What a fault made, for its end."""


def plant(world: World, cause: Cause, at_s: float, lasts_s: float) -> None:
    """Have a fault begin and end."""
    begin, end = _FAULTS[cause]
    made: _Made = {}
    world.later(at_s, lambda: begin(world, made))
    world.later(at_s + lasts_s, lambda: end(world, made))


_NORMAL_SMALL = Lane(Priority.NORMAL, Size.SMALL)


def _small(customer: int = 1, kind: str = "drill", takes_s: float = 0.5) -> Task:
    return Task(customer, kind, _NORMAL_SMALL, takes_s)


def _all_leave(world: World, _: _Made) -> None:
    for host in [*world.hosts]:
        world.leave(host)
    world.submit(_small())


def _all_join(world: World, _: _Made) -> None:
    for number in range(3):
        world.join(f"host-{number}", 4)


def _offer_less(world: World, _: _Made) -> None:
    world.kinds = KINDS[:1]
    _offer(world)
    for customer in range(3):
        world.submit(_small(customer, KINDS[1]))


def _offer_all(world: World, _: _Made) -> None:
    world.kinds = KINDS
    _offer(world)


def _offer(world: World) -> None:
    for host in world.hosts.values():
        host.kinds = world.kinds


def _stop_handing_out(world: World, _: _Made) -> None:
    world.handed_out_until_s = world.now_s
    world.submit(_small())


def _hand_out(world: World, _: _Made) -> None:
    world.handed_out_until_s = None


def _fall_silent(world: World, _: _Made) -> None:
    host = next(iter(world.hosts))
    task = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.MEDIUM), 30.0))
    world.start(task, host)
    world.hosts[host].silent_s = world.now_s


def _replace_silent(world: World, _: _Made) -> None:
    for host, one in [*world.hosts.items()]:
        if one.silent_s is not None:
            world.join(host, one.slots)


def _stall(world: World, state: _Made) -> None:
    task = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.LARGE), 200.0))
    world.start(task, next(iter(world.hosts)))
    task.stalled_s, state["task"] = world.now_s + 5.0, task


def _go_on(_: World, state: _Made) -> None:
    state["task"].stalled_s = None


def _fall_behind(world: World, state: _Made) -> None:
    state["task"] = world.submit(Task(1, "drill", Lane(Priority.NORMAL, Size.HUGE), 3_000.0, promise_s=10.0))


def _be_done(world: World, state: _Made) -> None:
    world.end(state["task"], state["task"].attempt)


def _forget(world: World, state: _Made) -> None:
    state["task"] = world.submit(_small())
    state["task"].forgotten = True


def _remember(_: World, state: _Made) -> None:
    state["task"].forgotten = False


def _poison(world: World, _: _Made) -> None:
    world.dead.append((_small(), world.now_s))


def _deal_with_it(world: World, _: _Made) -> None:
    world.dead.clear()


def _dependency_falls(world: World, _: _Made) -> None:
    world.down[KINDS[1]] = "register_down"
    for number in range(8):
        world.submit(_small(number % 4, KINDS[1]))


def _dependency_is_back(world: World, _: _Made) -> None:
    world.down.clear()


def _refuse(world: World, _: _Made) -> None:
    world.refusing[7] = world.now_s


def _accept(world: World, _: _Made) -> None:
    world.refusing.clear()


def _close_eyes(world: World, _: _Made) -> None:
    world.blind_s = world.now_s


def _open_eyes(world: World, _: _Made) -> None:
    world.blind_s = None


def _block(world: World, _: _Made) -> None:
    world.block(next(iter(world.hosts)))


def _unblock(world: World, _: _Made) -> None:
    for host in world.hosts:
        world.unblock(host)


_Part = Callable[[World, _Made], None]

_FAULTS: Mapping[Cause, tuple[_Part, _Part]] = {
    Cause.NO_WORKER: (_all_leave, _all_join),
    Cause.NO_CAPABLE_WORKER: (_offer_less, _offer_all),
    Cause.LOOP_BLOCKED: (_block, _unblock),
    Cause.UNDELIVERED: (_stop_handing_out, _hand_out),
    Cause.WORKER_LOST: (_fall_silent, _replace_silent),
    Cause.NO_PROGRESS: (_stall, _go_on),
    Cause.POISON: (_poison, _deal_with_it),
    Cause.DEPENDENCY_DOWN: (_dependency_falls, _dependency_is_back),
    Cause.UNDELIVERED_RESULT: (_refuse, _accept),
    Cause.PROMISES_MISSED: (_fall_behind, _be_done),
    Cause.UNEXPLAINED: (_forget, _remember),
    Cause.WATCHDOG_BLIND: (_close_eyes, _open_eyes),
}
