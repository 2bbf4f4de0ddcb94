"""Situations to plant: a waiting or running job, a worker, and what may be wrong around them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from invoicing.customers.model import CustomerPause
from invoicing.diagnosis.model.causes import examine, shown
from invoicing.diagnosis.model.check import Check
from invoicing.diagnosis.model.durations import Group, learn, magnitude
from invoicing.diagnosis.model.facts import Attempt, Facts, RunningWork, Snapshot, Ticket, Undelivered, facts_of
from invoicing.jobs.model import Breaker, Job, Priority, Size, State
from invoicing.lanes.model import Lane, Pause, Worker, quotas
from invoicing.lanes.model.line import Ahead

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SPACE = UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
JOB, WORKER, CUSTOMER, STRANGER, THEIRS = (
    uuid5(SPACE, name) for name in ("job", "worker", "customer", "stranger", "another customer's job")
)
LANE = Lane(Priority.NORMAL, Size.SMALL)
ALL_SLOTS = quotas(2)[LANE.size]
"""How many small jobs a worker of two slots runs."""

SECRETS = ("host-17", "4242", "build-9", "Mustermann", *map(str, (WORKER, CUSTOMER, STRANGER, THEIRS)))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def waiting(waited: float = 1, **changed: Any) -> Job:
    """Plant a job that was queued some seconds ago."""
    job = Job(
        id=JOB, customer_id=CUSTOMER, kind="drill", reference=None, priority=LANE.priority, size=LANE.size,
        predicted_s=0.5, state=State.QUEUED, revision=1, attempt=0, failures=0, due_at=ago(waited), order_at=ago(-19),
        released_at=None, submitted_at=ago(waited), started_at=None, finished_at=None, deadline=None,
        promise_due=ago(-300), lease_until=None, worker_id=None, cancel_requested_at=None, progress_done=None,
        progress_total=None, progress_unit=None, progressed_at=None, result=None, error=None, webhook=None,
        irrevocable=False, key_id=UUID(int=0), estimated_s=None, parked_at=None,
    )  # fmt: skip
    return replace(job, **changed)


def running(began: float = 2, **changed: Any) -> Job:
    """Plant a job whose first attempt began some seconds ago."""
    held = {"state": State.RUNNING, "attempt": 1, "revision": 2, "worker_id": WORKER, "lease_until": ago(-8)}
    return waiting(began + 1, **{**held, "started_at": ago(began), **changed})


def moving(began: float, done: float, reported: float = 0) -> Job:
    """Plant a running job that has done so much of 10 bill months, as it said some seconds ago."""
    said = {"progress_done": done, "progress_total": 10.0, "progress_unit": "bill months"}
    return running(began, **said, progressed_at=ago(reported), revision=2 + int(done))


def retrying(due_in: float) -> Job:
    error = {"code": "drill_failed", "message": "This drill fails."}
    past = {"state": State.RETRYING, "attempt": 1, "failures": 1, "due_at": ago(-due_in), "started_at": ago(50)}
    return waiting(60, **past, error=error, revision=3)


def worker(**changed: Any) -> Worker:
    """Plant a live worker of the lane with two slots."""
    lanes, kinds, beat = (LANE.name,), ("drill",), ago(1)
    one = Worker(WORKER, "host-17", 4242, "build-9", 2, lanes, kinds, ago(600), beat, beat, stopping=False, alive=True)
    return replace(one, **changed)


def ended(state: State = State.DEAD, failures: int = 1, **error: str) -> Job:
    """Plant a job that ended a minute ago, dead with an error unless said otherwise."""
    past: dict[str, Any] = {
        "state": state,
        "attempt": failures,
        "failures": failures,
        "started_at": ago(70),
        "finished_at": ago(60),
    }
    return waiting(80, **past, error=error or None, revision=3)


def untold(next_try: float | None = 30, *, disabled: bool = False) -> dict[str, Any]:
    """Plant an endpoint of the customer that answers 500 to the message about the job's end."""
    due = None if next_try is None else ago(-next_try)
    return {"undelivered": {JOB: (Undelivered(STRANGER, ago(60), 4, 500, due, ago(-9_000), disabled),)}}


def paused(until: float = 600) -> dict[str, Any]:
    return {"pauses": {LANE.name: Pause(LANE.name, ago(30), ago(-until), "The database moves.", "Erika Mustermann")}}


def on_hold(until: float = 600) -> dict[str, Any]:
    """Plant a customer that was paused half a minute ago."""
    held = CustomerPause(CUSTOMER, ago(30), ago(-until), "You asked us to.", "ops:Erika Mustermann")
    return {"customer_pauses": {CUSTOMER: held, STRANGER: replace(held, customer_id=STRANGER, until=ago(-9_999))}}


def busy(
    count: int = ALL_SLOTS, began: float = 60, lane: Lane = LANE, customer: UUID = STRANGER, job: UUID = THEIRS
) -> dict[str, Any]:
    return {"running": {lane: (RunningWork(0.5, ago(began), job, customer, WORKER),) * count}}


def queued(ahead: int, *, at_least: bool = False, released: float | None = None) -> dict[str, Any]:
    """Plant so many in front of the job, and a ticket released some seconds ago."""
    tickets = () if released is None else (Ticket(THEIRS, STRANGER, ago(released)),)
    work = {LANE.size: (ahead, ahead * 0.5)} if ahead else {}
    return {"runways": {LANE: tickets}, "places": {JOB: Ahead(ahead, work, at_least)}}


def capped(limit: int, running: int) -> dict[str, Any]:
    """Plant a customer with a limit on its running jobs, and so many of its jobs that run."""
    return {"caps": {CUSTOMER: limit}, **busy(running, customer=CUSTOMER, job=uuid5(SPACE, "own job"))}


def parked(**changed: Any) -> Job:
    """Plant a job that gave way to others half a minute ago, twelve of forty months done."""
    said = {"progress_done": 12.0, "progress_total": 40.0, "progress_unit": "bill months", "progressed_at": ago(31)}
    return waiting(60, attempt=1, started_at=ago(50), parked_at=ago(30), revision=15, **said, **changed)


GATE = "register"
"""What jobs may need from outside."""


def down(since: float = 60, next_try: float = 20, **changed: Any) -> Breaker:
    """Plant something outside that was found down some seconds ago."""
    one = Breaker(GATE, "the company register", 4, "register_down", ago(since + 3), ago(since), 2, ago(-next_try))
    return replace(one, **changed)


def outage(**changed: Any) -> dict[str, Any]:
    return {"breakers": {GATE: down(**changed)}}


def learned(similar: int, took: float = 0.5) -> dict[str, Any]:
    """Plant finished jobs like this one whose durations lie evenly within a factor of two around `took`."""
    durations = tuple(took * 2 ** ((place + 1) / (similar + 1) * 2 - 1) for place in range(similar))
    return {"history": learn([Group("drill", magnitude(0.5), (0.5,) * similar, durations)], ago(5))}


NOBODY: dict[str, Any] = {"workers": ()}
STRANGERS: dict[str, Any] = {"workers": (worker(kinds=("other",)),)}
DEAF: dict[str, Any] = {"workers": (worker(loop_beat_at=ago(40)),)}
DEAD: dict[str, Any] = {"workers": (worker(beat_at=ago(9), alive=False),)}


def facts(job: Job, changed: Mapping[str, Any] | None = None) -> Facts:
    """Gather what is known about a job beside one healthy worker with free slots, unless said otherwise."""
    ended = None if job.state is State.RUNNING else ago(45)
    attempts = {JOB: Attempt(job.started_at, ended, 0, 0)} if job.started_at else {}
    snapshot = Snapshot(NOW, (worker(),), {}, {}, {}, {JOB: Ahead(0)}, {}, attempts, learn((), None))
    return facts_of(replace(snapshot, **(changed or {})), job, 3)


def cause(job: Job, changed: Mapping[str, Any] | None = None) -> Check:
    known = facts(job, changed)
    check = shown(known, examine(known))
    assert check is not None
    return check
