"""A simulated worker that dies, and what becomes of the jobs that it ran."""

from collections.abc import Callable
from dataclasses import dataclass

from invoicing.plan.model.machine import Machine, Run, Task, last_checkpoint
from invoicing.plan.model.work import Death

Happening = Callable[[float], None]


@dataclass(frozen=True)
class Undertaker:
    """What a simulation does about a death."""

    at: Callable[[float, Happening], None]
    """Has something happen at a time."""
    end: Callable[[Run, float], None]
    wait_again: Callable[[Task, float], None]
    """Lets a job wait, given when it counts as due."""

    def await_death(self, each: Machine, death: Death) -> None:
        """Have a worker die when it is due, its jobs found after the lease, and one like it back if that was said."""
        self.at(death.at_s, lambda now: self._dies(each, death, now))

    def _dies(self, each: Machine, death: Death, now: float) -> None:
        each.lives(alive=False)
        for run in list(each.runs):
            run.advance(now)
            self.end(run, now)
            run.task.done_s = last_checkpoint(run.task)
            self.at(now + death.noticed_after_s, self._found_lost(run.task))
        if death.back_at_s is not None:
            self.at(death.back_at_s, lambda _now: each.lives(alive=True))

    def _found_lost(self, task: Task) -> Happening:
        return lambda _now: self.wait_again(task, task.order_at)
