"""How an attempt may end, and what that makes of its job."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from invoicing.jobs.model.dependencies import OPENS_AFTER, Said
from invoicing.jobs.model.states import Event, Size, State

DOWN = "dependency_down"
"""Why a failure does not count: what the work needed was down, and had been found so."""

YIELD = "yield"
"""Why an attempt is interrupted that gives way to other work: it is parked until it is its turn again."""


@dataclass(frozen=True)
class JobError:
    """Why a job failed, in terms the reader can act on: rule, field (RFC 6901 pointer), message, remedy."""

    code: str
    message: str
    field: str | None = None
    rule: str | None = None
    remedy: str | None = None
    findings: tuple[Mapping[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Give the members that say something."""
        members = {
            "code": self.code,
            "message": self.message,
            "field": self.field,
            "rule": self.rule,
            "remedy": self.remedy,
            "findings": [dict(finding) for finding in self.findings],
        }
        return {name: value for name, value in members.items() if value}


@dataclass(frozen=True)
class Succeeded:
    """The work is done; `result` is what the customer's program reads."""

    result: Mapping[str, Any]


@dataclass(frozen=True)
class Rejected:
    """The request cannot be carried out, however often it is tried."""

    error: JobError


@dataclass(frozen=True)
class Failed:
    """The attempt failed in a way that another may not; `retry_after` is what a dependency asked for.

    `dependency` names the one, of those that the job needs, that was not there or did not do its part.
    """

    error: JobError
    retry_after: timedelta | None = None
    dependency: str | None = None


@dataclass(frozen=True)
class Interrupted:
    """The attempt was stopped through no fault of the job: it goes back to the queue and the attempt does not count.

    `size` is the class it turned out to belong to, where that differs.
    """

    why: str
    size: Size | None = None


@dataclass(frozen=True)
class Cancelled:
    """The attempt stopped because the customer, or support, cancelled the job."""


Outcome = Succeeded | Rejected | Failed | Interrupted | Cancelled


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how far apart, a failed job is tried again."""

    max_attempts: int = 3
    first_delay: timedelta = timedelta(seconds=2)
    longest_delay: timedelta = timedelta(minutes=10)
    deaths: int = 2
    """So many workers may die on it, then it is put under quarantine: each death takes other jobs with it."""

    def delay_after(self, failures: int, jitter: float) -> timedelta:
        """Wait twice as long after each failure; `jitter` in [0, 1) spreads jobs that failed together by up to half."""
        doublings = min(failures - 1, 20)  # far beyond any longest delay, and a timedelta still holds it
        delay = min(self.first_delay * (1 << doublings), self.longest_delay)
        return delay * (1 + jitter / 2)


@dataclass(frozen=True)
class Verdict:
    """What an outcome makes of a job: its next state, how many failures count so far, when it may run again.

    A job whose outcome has begun to be a fact in the world (an irrevocable step is committed) does not die: what was
    begun must be ended. Whoever writes the verdict knows that, and has it tried again after `due_in`, as often as it
    takes.
    """

    state: State
    event: Event
    failures: int
    due_in: timedelta = timedelta(0)
    error: JobError | None = None
    result: Mapping[str, Any] | None = None
    size: Size | None = None
    why: str | None = None

    def told(self) -> dict[str, Any]:
        """Give what the timeline tells of it beside the state: why, when it may run again, to which class it moved."""
        due_in_s = self.due_in.total_seconds() if self.state is State.RETRYING else None
        told = {"why": self.why, "due_in_s": due_in_s, "size": self.size}
        return {name: value for name, value in told.items() if value is not None}


def judge(outcome: Outcome, failures: int, policy: RetryPolicy, jitter: float) -> Verdict:
    """Turn an outcome into a state; `failures` are the attempts that counted before this one."""
    delay = policy.delay_after(failures + 1, jitter)
    match outcome:
        case Succeeded(result):
            return Verdict(State.SUCCEEDED, Event.SUCCEEDED, failures, result=result)
        case Rejected(error):
            return Verdict(State.DEAD, Event.DEAD, failures + 1, delay, error)
        case Interrupted(why, size):
            event = Event.PARKED if why == YIELD else Event.INTERRUPTED
            return Verdict(State.QUEUED, event, failures, size=size, why=why)
        case Cancelled():
            return Verdict(State.CANCELLED, Event.CANCELLED, failures)
        case Failed(error, retry_after, dependency) if failures + 1 < _attempts(policy, dependency):
            delay = max(delay, retry_after or timedelta(0))
            return Verdict(State.RETRYING, Event.RETRYING, failures + 1, delay, error)
        case Failed(error, retry_after):
            return Verdict(State.DEAD, Event.DEAD, failures + 1, max(delay, retry_after or timedelta(0)), error)


def _attempts(policy: RetryPolicy, dependency: str | None) -> int:
    """Bound the attempts; whoever meets an outage first lives to see it found, which takes a few failures."""
    return policy.max_attempts if dependency is None else policy.max_attempts + OPENS_AFTER - 1


def spared(outcome: Outcome, failures: int, policy: RetryPolicy) -> Verdict | None:
    """Judge a failure by a dependency that is found to be down: it does not count, and an attempt is always left.

    None: it names none. When the job may run again is set by when the dependency is tried next.
    """
    match outcome:
        case Failed(error, _, str()):
            left = min(failures, policy.max_attempts - 1)
            return Verdict(State.RETRYING, Event.RETRYING, left, error=error, why=DOWN)
        case _:
            return None


def said_of(outcome: Outcome, needs: str, titles: Mapping[str, str]) -> Said | None:
    """Tell what an outcome says of what its job needs; None: nothing. `titles` are those that its kind declares."""
    match outcome:
        case Succeeded() if needs:
            return Said(works=tuple(needs.split()))
        case Failed(error, retry_after, str(dependency)):
            return Said(
                down=dependency, title=titles.get(dependency, dependency), error=error.code, retry_after=retry_after
            )
        case _:
            return None


def declared(outcome: Outcome, needs: str) -> Outcome:
    """Let a failure name only what its job said that it needs: it is held back for nothing else."""
    match outcome:
        case Failed(_, _, str(dependency)) if dependency not in needs.split():
            return replace(outcome, dependency=None)
        case _:
            return outcome


def jitter() -> float:
    """Draw the jitter that `judge` is given."""
    return random.random()  # noqa: S311 - spreads load, guards nothing
