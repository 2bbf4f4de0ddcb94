"""What a simulation counts: slot time, idle slots while work waits, and service, charged as the dispatcher does it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import Scheduler
from invoicing.plan.model.machine import Machine, Run

_ACCOUNT_EVERY_S = 1.0
"""How often running work is charged for what it used."""


@dataclass(eq=False)
class Books:
    """Sums that grow with time."""

    scheduler: Scheduler
    slots_s: float = 0.0
    idle_s: float = 0.0
    served_s: dict[tuple[str, Priority, Size], float] = field(default_factory=dict)
    _charged_at: float = 0.0

    def pass_by(self, machines: Iterable[Machine], passed_s: float, *, waits: bool) -> None:
        """Count the slots over a time in which nothing changed."""
        for each in machines:
            if each.alive:
                self.slots_s += each.slots * passed_s
                if waits:
                    self.idle_s += (each.slots - each.active()) * passed_s

    def charge(self, run: Run, now: float) -> None:
        """Charge what an attempt really used."""
        run.advance(now)
        task = run.task
        self.scheduler.charge(task.customer_id, task.key_id, run.used_s - run.charged_s, task.lane)
        name = (task.work.customer, task.work.priority, task.lane.size)
        self.served_s[name] = self.served_s.get(name, 0.0) + run.used_s - run.noted_s
        run.charged_s = run.noted_s = run.used_s

    def charge_all(self, machines: Iterable[Machine], now: float) -> None:
        """Charge all that runs."""
        self._charged_at = now
        for each in machines:
            for run in each.runs:
                self.charge(run, now)

    def charge_when_due(self, machines: Iterable[Machine], now: float) -> None:
        """Charge all that runs about once a second."""
        if now - self._charged_at >= _ACCOUNT_EVERY_S:
            self.charge_all(machines, now)
