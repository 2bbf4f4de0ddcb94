"""A load on a fleet under the policy, in virtual time: the functions that decide are those of the service."""

import math
from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from uuid import UUID

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import (
    SIZES,
    Lane,
    Policy,
    Running,
    Scheduler,
    asked_to_give_way,
    fits,
    larger,
    order_after_turn,
    outgrown,
    smaller,
    used,
)
from invoicing.plan.model.backlog import Backlog, first_s
from invoicing.plan.model.books import Books
from invoicing.plan.model.course import Course
from invoicing.plan.model.deaths import Happening, Undertaker
from invoicing.plan.model.door import Admission, Doorkeeper
from invoicing.plan.model.machine import STAYS_ASIDE_S, Machine, Run, Task, last_checkpoint, machine, set_aside_at
from invoicing.plan.model.work import Death, Ended, Fleet, Outcome, Work

__all__ = ["Admission", "Death", "Ended", "Fleet", "Outcome", "Work", "simulate"]

_LOOK_AGAIN_S = 1.0
"""How often it is asked anew who gives way, while somebody waits in vain."""

_SOON = 1e-6


def simulate(
    work: Iterable[Work],
    fleet: Fleet,
    policy: Policy,
    *,
    admission: Admission | None = None,
    until_s: float = math.inf,
) -> Outcome:
    """Play a load through, to the end of its last job or until a time; the same arguments give the same outcome.

    Without `admission` every job is taken in.
    """
    played = Simulation(sorted(work, key=lambda one: one.at_s), fleet, policy, admission)
    played.play(until_s)
    return played.outcome()


class Simulation:
    """What happens, in its order."""

    def __init__(self, work: list[Work], fleet: Fleet, policy: Policy, admission: Admission | None) -> None:
        """Let nothing have happened yet."""
        self._policy = policy
        self._fleet = fleet
        self._door = Doorkeeper(admission, fleet, policy) if admission else None
        self._work = work
        self._tasks: list[Task] = []
        self._ids: dict[str, UUID] = {}
        self._lanes = {(priority, size): Lane(priority, size) for priority in Priority for size in Size}
        self._scheduler = Scheduler(policy)
        self._backlog = Backlog(self._scheduler, policy)
        self._machines = [machine(slots, policy) for slots in fleet.workers]
        self._runway: list[Task] = []
        self._keeps_its_slot: list[Run] = []  # asked in vain to give way: as many were set aside as may
        self._unfinished = 0
        self._events: list[tuple[float, int, Happening]] = []
        self._numbers, self._now = 0, 0.0
        self._look_at = math.inf
        self._came = False  # whether something new waits since the last decision
        self._books = Books(self._scheduler)
        self._course = Course()
        for customer, cap in fleet.caps.items():
            self._scheduler.limit(self._id(customer), cap)
        for customer, weight in fleet.weights.items():
            self._scheduler.weigh(self._id(customer), weight)
        undertaker = Undertaker(self._at, self._end, self._wait_again)
        for death in fleet.deaths:
            undertaker.await_death(self._machines[death.worker], death)

    def play(self, until_s: float) -> None:
        """Let happen what happens, in its order; all of a moment before the next decision."""
        arrivals = iter(self._work)
        coming = next(arrivals, None)
        while coming is not None or self._events:
            now = min(coming.at_s if coming else math.inf, self._events[0][0] if self._events else math.inf)
            if now > until_s or (coming is None and not self._unfinished):
                break
            self._pass_to(now)
            self._read_at_door(now)
            while coming is not None and coming.at_s <= now:
                self._arrive(coming, now)
                coming = next(arrivals, None)
            while self._events and self._events[0][0] <= now:
                heappop(self._events)[2](now)
            self._decide(now)
        if self._door and not self._unfinished:
            self._door.close(self._now)

    def outcome(self) -> Outcome:
        """Add up what became of it."""
        books = self._books
        books.charge_all(self._machines, self._now)
        jobs = tuple(task.ended() for task in self._tasks)
        return Outcome(jobs, self._now, books.slots_s, books.idle_s, books.served_s, self._course.moments())

    def _at(self, time_s: float, happening: Happening) -> None:
        self._numbers += 1
        heappush(self._events, (time_s, self._numbers, happening))

    def _pass_to(self, now: float) -> None:
        passed = now - self._now
        if passed > 0:
            self._books.pass_by(self._machines, passed, waits=self._waits())
            if now > self._course.sampling_due_s:
                busy = sum(each.active() for each in self._machines)
                self._course.stood(now, busy, self._unfinished - sum(len(each.runs) for each in self._machines))
            self._now = now

    def _read_at_door(self, now: float) -> None:
        door = self._door
        if door and now >= door.reads_at:
            live = [each.quota for each in self._machines if each.alive]
            door.read(now, self._backlog.tallies, {size: sum(quota[size] for quota in live) for size in SIZES})
            if door.follows:
                self._at(door.reads_at, lambda _now: None)

    def _waits(self) -> bool:
        return self._scheduler.waits or bool(self._runway)

    def _id(self, name: str) -> UUID:
        found = self._ids.get(name)
        if found is None:
            found = self._ids[name] = UUID(int=len(self._ids) + 1)
        return found

    def _arrive(self, work: Work, now: float) -> None:
        size = self._policy.cutoffs.classify(work.estimated_s)
        lane = self._lanes[work.priority, size]
        number = len(self._tasks)
        task = Task(
            number,
            UUID(int=number),
            work,
            self._id(work.customer),
            self._id(work.key),
            lane,
            now + self._policy.delays_s[work.priority][size],
            work.estimated_s,
        )
        self._tasks.append(task)
        if self._door:
            self._door.admit(task, now, self._backlog.tallies)
            if task.refused:
                return
        self._unfinished += 1
        self._came = True
        self._backlog.add(task)

    def _decide(self, now: float) -> None:
        if self._scheduler.waits or self._runway:
            self._books.charge_when_due(self._machines, now)
        if self._keeps_its_slot:
            self._set_aside_after_all(now)
        for size in sorted({size for each in self._machines for size in each.sizes_aside()}, key=SIZES.index):
            self._release(now, smaller(size))
            self._take_back(size, now)
        self._release(now, SIZES)
        if self._scheduler.waits and (self._came or self._look_at <= now):
            self._ask(now)
        self._came = False

    def _release(self, now: float, sizes: Sequence[Size]) -> None:
        """Start what waits, of some classes, as far as there is room."""
        if not self._waits():
            return
        self._runway = [task for task in self._runway if task.lane.size not in sizes or not self._start(task, now)]
        more = True
        while more and self._scheduler.waits:
            left = self._left()
            released = self._scheduler.release({size: left[size] if size in sizes else 0 for size in SIZES})
            for waiting in released:
                task = self._backlog.take(waiting)
                if not self._start(task, now):
                    self._runway.append(task)
            more = self._backlog.refill(released)

    def _left(self) -> dict[Size, int]:
        """Give the room of all workers, but for what is on its way to them."""
        if len(self._machines) == 1 and not self._runway:
            return self._machines[0].left()
        rooms = [each.left() for each in self._machines]
        left = {size: sum(max(0, room[size]) for room in rooms) for size in SIZES}
        for task in self._runway:
            left = used(left, task.lane.size)
        return left

    def _start(self, task: Task, now: float) -> bool:
        """Let the worker with most room take a task; there may be none where the rooms of several only add up."""
        able = [each for each in self._machines if fits(each.left(), task.lane.size)]
        if not able:
            return False
        chosen = max(able, key=lambda each: each.left()[task.lane.size]) if len(able) > 1 else able[0]
        if task.started_s is None:
            task.started_s = now
        run = chosen.start(task, now)
        run.charged_s = first_s(task, self._policy)
        self._repace(chosen, now)
        return True

    def _repace(self, each: Machine, now: float) -> None:
        for run in each.changed(now):
            run.expect(now, self._policy)
        self._expect(each)

    def _expect(self, each: Machine) -> None:
        """Wait for what happens next on a worker, and for nothing that was expected before."""
        next_s = min((run.at_s for run in each.runs), default=math.inf)
        if next_s == each.next_s:
            return
        each.next_s = next_s
        if next_s < math.inf:
            self._at(next_s, lambda now: self._happens(each, now) if now == each.next_s else None)

    def _happens(self, each: Machine, now: float) -> None:
        run = min(each.runs, key=lambda one: one.at_s)
        each.next_s = math.inf
        self._reached(run, now)
        self._expect(each)

    def _reached(self, run: Run, now: float) -> None:
        run.advance(now)
        task = run.task
        task.done_s = run.target_s
        if run.target_s >= task.work.size_s:
            task.finished_s = now
            self._unfinished -= 1
            self._end(run, now)
        elif run.target_s == self._policy.cutoffs.limit(task.lane.size):
            self._outgrow(run, now)
        else:
            self._park(run, now)

    def _end(self, run: Run, now: float) -> None:
        self._books.charge(run, now)
        run.worker.end(run)
        self._scheduler.ended(run.task.customer_id)
        self._repace(run.worker, now)

    def _park(self, run: Run, now: float) -> None:
        task = run.task
        self._end(run, now)
        task.parked += 1
        self._wait_again(task, order_after_turn(task.lane, task.order_at, now, self._policy))

    def _wait_again(self, task: Task, order_at: float) -> None:
        task.attempt += 1
        task.order_at = order_at
        self._backlog.add(task)

    def _outgrow(self, run: Run, now: float) -> None:
        """Count what is larger than it was taken for as what it is; who is too much of that class then gives way."""
        size = larger(run.task.lane.size)
        assert size is not None
        self._books.charge(run, now)
        each = run.worker
        run.task.predicted_s = max(run.task.predicted_s, 2 * run.task.done_s)
        each.outgrow(run, self._lanes[run.task.work.priority, size])
        run.expect(now, self._policy)
        self._repace(each, now)
        held = {other.as_running(): other for other in each.runs if not other.aside}
        for seen in outgrown(list(held), each.quota):
            if not held[seen].asked:
                self._give_way(held[seen], now)

    def _ask(self, now: float) -> None:
        """Ask who has had enough to give way to what finds no room; look again when the next has had enough."""
        if self._look_at <= now:
            self._look_at = math.inf
        runs = [run for each in self._machines for run in each.runs if not run.aside]
        able = [run for run in runs if not run.asked]
        had_enough = {run.task.id: run for run in able if now - run.since >= self._policy.least_run_s - _SOON}
        if had_enough:
            for seen in self._asked(had_enough, len(runs) - len(able), now):
                self._give_way(had_enough[seen.job_id], now)
        waits_until = [run.since + self._policy.least_run_s for run in able if run.task.id not in had_enough]
        self._look(min(waits_until, default=math.inf))
        if len(waits_until) < len(able):
            self._look(now + _LOOK_AGAIN_S)

    def _asked(self, had_enough: Mapping[UUID, Run], asked: int, now: float) -> list[Running]:
        """Choose who gives way to what waits beyond those for whom somebody does already."""
        blocked = self._scheduler.blocked(asked + len(had_enough))[asked:]
        running = [run.as_running() for run in had_enough.values()]
        return asked_to_give_way(running, blocked, now + _SOON, self._policy, self._scheduler.entitled)

    def _look(self, at_s: float) -> None:
        if at_s < self._look_at:
            self._look_at = at_s
            self._at(at_s, lambda _now: None)

    def _give_way(self, run: Run, now: float) -> None:
        """Have an attempt stop at its next checkpoint; where it reaches none within a quantum, it is set aside."""
        run.asked = True
        run.expect(now, self._policy)
        self._expect(run.worker)
        self._at(set_aside_at(run, now, self._policy.quantum_s), self._goes_on_too_long(run))

    def _goes_on_too_long(self, run: Run) -> Happening:
        since = run.since
        return lambda now: self._set_aside(run, now) if run.since == since else None

    def _set_aside(self, run: Run, now: float) -> None:
        each = run.worker
        if run.aside or run not in each.runs:
            return
        if each.may_set_aside:
            each.set_aside(run, now, freeze=self._fleet.freezes)
            self._repace(each, now)
            self._at(now + STAYS_ASIDE_S, lambda _now: None)  # then it is looked whether it may come back
        elif self._fleet.restarts:
            self._kill(run, now)
        else:
            self._keeps_its_slot.append(run)

    def _set_aside_after_all(self, now: float) -> None:
        """Set aside what was to be when as many were as may: some of these have ended."""
        kept, self._keeps_its_slot = self._keeps_its_slot, []
        for run in kept:
            self._set_aside(run, now)

    def _kill(self, run: Run, now: float) -> None:
        run.advance(now)
        task = run.task
        self._end(run, now)
        task.done_s = last_checkpoint(task)
        self._wait_again(task, order_after_turn(task.lane, task.order_at, now, self._policy))

    def _take_back(self, size: Size, now: float) -> None:
        for each in self._machines:
            for run in each.come_back(size, now) if each.asides else ():
                run.expect(now, self._policy)
                self._repace(each, now)
