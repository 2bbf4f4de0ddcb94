"""The simulated ledger: what waits, queue by queue in the order in which it is due; a scheduler is shown the first."""

from collections.abc import Mapping
from heapq import heappop, heappush, nsmallest
from uuid import UUID

from invoicing.lanes.model import Lane, Policy, Queue, Scheduler, Waiting
from invoicing.plan.model.machine import Task

SHOWN = 32
"""How many jobs of a queue the scheduler knows at a time."""

_LEAST_S = 0.001

Tallies = Mapping[UUID, Mapping[Lane, tuple[int, float]]]


def first_s(task: Task, policy: Policy) -> float:
    """Compute what a task is charged when it is released (seconds)."""
    return min(max(task.predicted_s - task.done_s, _LEAST_S), policy.quantum_s)


class Backlog:
    """Tasks that wait."""

    def __init__(self, scheduler: Scheduler, policy: Policy) -> None:
        """Let nothing wait."""
        self._scheduler = scheduler
        self._policy = policy
        self._hidden: dict[tuple[UUID, Lane], list[tuple[float, UUID, Task]]] = {}
        self._shown: dict[tuple[UUID, Lane], dict[UUID, Task]] = {}
        self._last: dict[tuple[UUID, Lane], tuple[float, UUID]] = {}
        self.tallies: dict[UUID, dict[Lane, tuple[int, float]]] = {}
        """Jobs that wait and their predicted work, by customer and lane."""

    def add(self, task: Task) -> None:
        """Let a task wait."""
        self._count(task, +1)
        name = (task.key_id, task.lane)
        shown = self._shown.get(name)
        due = (task.order_at, task.id)
        if shown and due > self._last[name]:
            heappush(self._hidden.setdefault(name, []), (*due, task))
            return
        hidden = self._hidden.get(name)
        for other in (shown or {}).values():
            hidden = self._hidden.setdefault(name, [])
            heappush(hidden, (other.order_at, other.id, other))
        if hidden:
            heappush(hidden, (*due, task))
            self._show(name, task.customer_id)
        else:
            self._shown[name] = {task.id: task}
            self._last[name] = due
            self._scheduler.show(Queue(task.customer_id, task.key_id, task.lane), [self._waiting(task)])

    def take(self, waiting: Waiting) -> Task:
        """Take out what was released."""
        name = (waiting.key_id, waiting.lane)
        shown = self._shown[name]
        task = shown.pop(waiting.job_id)
        self._count(task, -1)
        return task

    def refill(self, released: list[Waiting]) -> bool:
        """Show more of the queues of which the scheduler knows nothing any more; tells whether there was more."""
        more = False
        for one in released:
            name = (one.key_id, one.lane)
            if not self._shown.get(name) and self._hidden.get(name):
                self._show(name, one.customer_id)
                more = True
        return more

    @property
    def queues(self) -> int:
        """Count the queues in which something waits, or waited."""
        return len(self._shown)

    def first(self, depth: int) -> dict[Queue, list[Task]]:
        """Give the first tasks of every queue, in order."""
        found = {}
        for (key_id, lane), shown in self._shown.items():
            hidden = self._hidden.get((key_id, lane), ())
            tasks = list(shown.values())[:depth]
            tasks += [task for *_, task in nsmallest(depth - len(tasks), hidden)]
            if tasks:
                found[Queue(tasks[0].customer_id, key_id, lane)] = tasks
        return found

    def as_waiting(self, task: Task) -> Waiting:
        """Show a task as the scheduler sees it."""
        return self._waiting(task)

    def _show(self, name: tuple[UUID, Lane], customer_id: UUID) -> None:
        hidden = self._hidden[name]
        first = [heappop(hidden)[2] for _ in range(min(SHOWN, len(hidden)))]
        self._shown[name] = {task.id: task for task in first}
        self._last[name] = (first[-1].order_at, first[-1].id)
        self._scheduler.show(Queue(customer_id, *name), [self._waiting(task) for task in first])

    def _waiting(self, task: Task) -> Waiting:
        return Waiting(
            task.id,
            task.attempt,
            task.customer_id,
            task.key_id,
            task.lane,
            task.order_at,
            first_s(task, self._policy),
        )

    def _count(self, task: Task, by: int) -> None:
        lanes = self.tallies.setdefault(task.customer_id, {})
        waiting, work_s = lanes.get(task.lane, (0, 0.0))
        left_s = max(task.predicted_s - task.done_s, 0.0)
        lanes[task.lane] = (waiting + by, max(0.0, work_s + by * left_s)) if waiting + by else (0, 0.0)
