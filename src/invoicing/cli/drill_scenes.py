"""How each drill goes: which work it holds ready, and how it breaks what."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from invoicing.cli import drill_breaks, drill_disk, drill_skew
from invoicing.cli.client import Answer, Service
from invoicing.cli.drill_measures import Blow
from invoicing.cli.drill_site import Process, Site, serving
from invoicing.cli.drill_witnesses import Witnesses
from invoicing.cli.faults import Fault

_WORK: Mapping[str, Any] = {"seconds": 4, "chunks": 8}
"""Long enough to be struck in the middle, with checkpoints to go on from."""

_SHORT_WORK: Mapping[str, Any] = {"seconds": 0.3}
_RUNS_WITHIN_S = 60.0
_SKEWED_SLOTS = 2
_MOST_LONG = 40
_GIVEN_WITHIN_S = 0.5


@dataclass
class Stage:
    """What a scene works with, and what it leaves for the verdict."""

    site: Site
    ops: Service
    witnesses: Witnesses
    spared: set[str] = field(default_factory=set)
    slowdown: Callable[[], float] | None = None

    def workers(self) -> Sequence[Answer]:
        """List the workers that serve now."""
        return serving(self.ops)

    def hold(self, payload: Mapping[str, Any], count: int) -> None:
        """Have some jobs accepted that are to be there when the fault comes."""
        for submitting in [self.witnesses.ask(payload, held=True) for _ in range(count)]:
            submitting.result(_RUNS_WITHIN_S)

    def slots(self) -> int:
        """Count the slots of all workers."""
        return sum(int(one["slots"]) for one in self.workers())

    def held_by(self, pid: int) -> frozenset[str]:
        """Name the jobs held ready that a worker runs now."""
        running = (one["running"] for one in self.workers() if one["pid"] == pid)
        return self.witnesses.held_ids() & frozenset(job for jobs in running for job in jobs)

    def busy_worker(self) -> Process:
        """Hold work, and find the worker that runs most of it as soon as one runs any of it.

        One job for each worker: with more, those that are rescued would wait for a slot behind their likes.
        """
        self.hold(_WORK, len(self.workers()))
        ours = {one.pid: one for one in self.site.processes("worker")}
        deadline = time.monotonic() + _RUNS_WITHIN_S
        while time.monotonic() < deadline:
            busy = max(ours, key=lambda pid: len(self.held_by(pid)), default=None)
            if busy is not None and self.held_by(busy):
                return ours[busy]
            time.sleep(0.1)
        raise Fault(
            "No worker of this service began the drill's jobs.", "See `invoicing lanes` and `invoicing doctor`."
        )


Scene = Callable[[Stage], AbstractContextManager[Blow]]


def _worker_kill(stage: Stage) -> AbstractContextManager[Blow]:
    return drill_breaks.killed(stage.site, stage.busy_worker())


def _worker_stop(stage: Stage) -> AbstractContextManager[Blow]:
    return drill_breaks.stopped(stage.site, stage.busy_worker(), with_family=False)


def _child_kill(stage: Stage) -> AbstractContextManager[Blow]:
    return drill_breaks.children_killed(stage.site, stage.busy_worker())


def _kill(role: str) -> Scene:
    def scene(stage: Stage) -> AbstractContextManager[Blow]:
        stage.busy_worker()
        return drill_breaks.killed(stage.site, stage.site.one(role))

    return scene


def _stop(role: str) -> Scene:
    def scene(stage: Stage) -> AbstractContextManager[Blow]:
        stage.busy_worker()
        return drill_breaks.stopped(stage.site, stage.site.one(role), with_family=True)

    return scene


def _flush(stage: Stage) -> AbstractContextManager[Blow]:
    stage.hold(_SHORT_WORK, 6 * stage.slots())
    return drill_breaks.flushed(stage.site, stage.site.one("redis"))


def _restart(stage: Stage) -> AbstractContextManager[Blow]:
    stage.busy_worker()
    return drill_breaks.restarted(stage.site, stage.site.one("postgres"))


@contextmanager
def _skew(stage: Stage) -> Iterator[Blow]:
    """Let two workers whose clocks are off carry jobs past a lease; then kill the one whose clock is ahead."""
    behind_s, ahead_s = -drill_skew.HOUR_S, drill_skew.HOUR_S
    with ExitStack() as stack:
        behind, ahead = (
            stack.enter_context(drill_skew.worker(stage.site, off, _SKEWED_SLOTS)) for off in (behind_s, ahead_s)
        )
        drill_skew.await_ready(behind, behind_s)
        drill_skew.await_ready(ahead, ahead_s)
        lease_s = stage.site.lease_s()
        _hold_on(stage, (behind.pid, ahead.pid), 2 * lease_s)
        time.sleep(lease_s + 2)
        stage.spared.update(stage.held_by(behind.pid))
        if not stage.held_by(ahead.pid):
            raise Fault("The worker whose clock is ahead lost its job before it was killed.", f"See {ahead.log}.")
        at = time.time()
        ahead.process.kill()
        yield Blow(at, f"SIGKILL to worker {ahead.pid}, whose clock is {ahead_s} s ahead ({behind.pid}: {behind_s} s)")


def _hold_on(stage: Stage, pids: Sequence[int], seconds: float) -> None:
    """Hold long work until each of some workers runs some of it; the others' slots are free again when it matters."""
    for _ in range(_MOST_LONG):
        stage.hold({"seconds": seconds, "chunks": 2 * int(seconds)}, 1)
        time.sleep(_GIVEN_WITHIN_S)
        if all(stage.held_by(pid) for pid in pids):
            return
    raise Fault("The workers with wrong clocks were given no jobs.", "Try again when less waits.")


@contextmanager
def _slow_disk(stage: Stage) -> Iterator[Blow]:
    stage.busy_worker()
    at = time.time()
    with drill_disk.busy(stage.site.home) as slowdown:
        stage.slowdown = slowdown
        yield Blow(at, f"writes with fsync, as many as the disk takes, beside {stage.site.home}")


SCENES: Mapping[str, Scene] = {
    "worker-kill": _worker_kill,
    "worker-stop": _worker_stop,
    "child-kill": _child_kill,
    "dispatcher-kill": _kill("dispatcher"),
    "web-kill": _kill("web"),
    "redis-flush": _flush,
    "redis-down": _stop("redis"),
    "db-restart": _restart,
    "db-down": _stop("postgres"),
    "clock-skew": _skew,
    "slow-disk": _slow_disk,
}
