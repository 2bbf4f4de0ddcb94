"""What is made of an attempt whose lease ran out: tried again, tried again later, or its job put under quarantine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from invoicing.jobs.model.outcomes import JobError, RetryPolicy, Verdict
from invoicing.jobs.model.states import Event, State

POISON = "poison"
WORKER_LOST = "worker_lost"


@dataclass(frozen=True)
class Lost:
    """A running job whose lease is over."""

    job_id: UUID
    kind: str
    attempt: int
    failures: int
    worker_id: UUID
    lease_until: datetime
    irrevocable: bool
    cancel_requested: bool
    deaths: tuple[int, ...]
    """Earlier attempts whose workers died, as far as anybody knows, since our staff last had it tried again."""


@dataclass(frozen=True)
class Sign:
    """The last that was heard of a worker."""

    host: str
    heard_at: datetime


@dataclass(frozen=True)
class Watch:
    """What whoever rescues knows of the workers, and since when it could have heard of them without a gap."""

    signs: Mapping[UUID, Sign]
    watched_for: timedelta
    silence: timedelta
    """How long a worker must be silent, watched all the while, to count as dead."""


NOBODY = Watch({}, timedelta(0), timedelta(seconds=30))
"""Knows nothing, so that nothing is proven."""


class Life(StrEnum):
    """What is known of the worker of a lost attempt."""

    LIVES = "lives"
    SILENT = "silent"
    DEAD = "dead"


@dataclass(frozen=True)
class Death:
    """A worker that died, for those who look for the reason; `beside` is what else it ran: (job, attempt, kind)."""

    attempt: int
    worker_id: UUID
    host: str | None
    heard_at: datetime | None
    lost_at: datetime
    beside: Sequence[tuple[UUID, int, str]]


def life_of(lost: Lost, watch: Watch, now: datetime) -> Life:
    """Tell a worker that died from one that was cut off, or that never learned of its claim.

    A beat after the end of the lease is one that did not renew it: the worker lives and does not know of the attempt.
    Silence proves a death only when it lasted, and when somebody was there to hear: after an outage of the ledger
    everybody is silent for a moment.
    """
    sign = watch.signs.get(lost.worker_id)
    if sign is not None and sign.heard_at > lost.lease_until:
        return Life.LIVES
    silent_since = max(lost.lease_until if sign is None else sign.heard_at, now - watch.watched_for)
    return Life.DEAD if now - silent_since >= watch.silence else Life.SILENT


def judge_loss(lost: Lost, life: Life, policy: RetryPolicy, jitter: float) -> Verdict | None:
    """Turn a loss into a state; None: wait until it is known whether the worker is dead.

    The attempt is no failure of the job's. One more death than its kind bears puts the job under quarantine, but not
    where its outcome has begun to be a fact in the world: what was begun there must be ended.
    """
    if lost.cancel_requested:
        return Verdict(State.CANCELLED, Event.CANCELLED, lost.failures, why=WORKER_LOST)
    deaths = len(lost.deaths) + 1
    if life is Life.LIVES or deaths < policy.deaths:
        return Verdict(State.QUEUED, Event.RESCUED, lost.failures, why=WORKER_LOST)
    if lost.irrevocable:
        delay = policy.delay_after(deaths - policy.deaths + 1, jitter)
        error = JobError(WORKER_LOST, f"{_workers(deaths)} were lost while they worked on it")
        return Verdict(State.RETRYING, Event.RETRYING, lost.failures, delay, error, why=WORKER_LOST)
    if life is Life.SILENT:
        return None
    return Verdict(State.DEAD, Event.DEAD, lost.failures, error=poison([*lost.deaths, lost.attempt]), why=POISON)


def poison(attempts: Sequence[int]) -> JobError:
    """Say to a customer why the job is not tried again."""
    numbers = ", ".join(map(str, attempts))
    return JobError(
        POISON,
        f"{_workers(len(attempts))} died while they worked on this job (attempts {numbers}). It is not tried again by "
        f"itself, so that it takes no more of them with it.",
        remedy="Our staff look for the reason and have it tried again. If your request is out of the ordinary, tell "
        "them how; nothing that was finished is lost.",
    )


def as_evidence(deaths: Sequence[Death]) -> list[dict[str, object]]:
    """Write down what is known of each death, for our staff only: it names machines and other customers' jobs."""
    return [
        {
            "attempt": death.attempt,
            "worker": str(death.worker_id),
            "host": death.host,
            "last_heard_at": None if death.heard_at is None else death.heard_at.isoformat(),
            "lost_at": death.lost_at.isoformat(),
            "beside": [{"job": str(job), "attempt": attempt, "kind": kind} for job, attempt, kind in death.beside],
        }
        for death in deaths
    ]


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
