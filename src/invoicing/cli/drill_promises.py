"""What each drill breaks, and what the service promises then: help, verdict and documentation are made from it."""

from collections.abc import Mapping
from dataclasses import dataclass

USUAL_LEASE_S = 10.0
"""The lease of an attempt (seconds) where the workers do not tell theirs; a test holds the two together."""

RESCUED = "rescued"
RETRYING = "retrying"
PROCESSES = "run.json"
LOGS = "log"
CLIENTS = "client"


@dataclass(frozen=True)
class Drill:
    """One way to break something; `bound_s` is how soon the service must work again (seconds, beside leases)."""

    name: str
    does: str
    promise: str
    bound_s: float
    alone_s: float | None = None
    """The bound where no second worker serves: its successor must start first."""
    leases: int = 0
    """How many leases must run out before it can work again: the bound is so much longer, and so is the outage."""
    lasts_s: float | None = None
    """How long it lasts (seconds, beside leases), where that is not an instant."""
    settable: bool = False
    """Whether the person at the keyboard may say how long."""
    from_end: bool = False
    """Whether the bound counts from the end of the outage."""
    detected_in: frozenset[str] = frozenset()
    """Where the service itself must have noticed; empty where there may be nothing to notice."""
    server: str | None = None
    """The server that it breaks, which must be this machine's own."""
    undisturbed: bool = False
    """Whether no attempt may be lost at all."""

    def bound(self, workers: int, lease_s: float = USUAL_LEASE_S) -> float:
        """Give the bound that holds with so many workers."""
        beside = self.alone_s if self.alone_s is not None and workers < 2 else self.bound_s
        return beside + self.leases * lease_s

    def lasts(self, asked_s: float | None, lease_s: float = USUAL_LEASE_S) -> float | None:
        """Give how long it lasts, None for an instant; a person may say so where it is settable."""
        if self.settable and asked_s is not None:
            return asked_s
        return None if self.lasts_s is None else self.lasts_s + self.leases * lease_s


_ALL = (
    Drill(
        "worker-kill",
        "sends SIGKILL to a worker in the middle of jobs",
        "its jobs run elsewhere as soon as their lease is over, from their last checkpoint, and end once",
        bound_s=2.0,
        leases=1,
        alone_s=30.0,
        detected_in=frozenset({RESCUED}),
    ),
    Drill(
        "worker-stop",
        "stops a worker (SIGSTOP) in the middle of jobs for longer than their lease, then lets it go on (SIGCONT)",
        "its jobs run elsewhere as soon as their lease is over; when it goes on it finds that it lost them, and "
        "settles nothing twice",
        bound_s=2.0,
        leases=1,
        alone_s=14.0,
        lasts_s=4.0,
        detected_in=frozenset({RESCUED}),
    ),
    Drill(
        "child-kill",
        "sends SIGKILL to every child process of a worker in the middle of jobs",
        "the worker lives on, the attempts have failed at once, and the jobs are tried again after their back-off",
        bound_s=15.0,
        detected_in=frozenset({RETRYING}),
    ),
    Drill(
        "dispatcher-kill",
        "sends SIGKILL to the dispatcher",
        "jobs go on being accepted, and start again when its successor leads",
        bound_s=20.0,
        detected_in=frozenset({PROCESSES}),
    ),
    Drill(
        "web-kill",
        "sends SIGKILL to the web process",
        "running jobs do not notice; a request without an answer can be sent again under its key, and is accepted once",
        bound_s=20.0,
        detected_in=frozenset({PROCESSES}),
    ),
    Drill(
        "redis-flush",
        "has Redis forget everything (FLUSHALL) while jobs wait",
        "tickets that were lost are put back by the watchdog, and no job runs twice",
        bound_s=5.0,
        server="redis",
    ),
    Drill(
        "redis-down",
        "stops Redis (SIGSTOP): it neither answers nor refuses",
        "jobs are accepted all the while, and start again by themselves once it answers",
        bound_s=15.0,
        lasts_s=10.0,
        settable=True,
        from_end=True,
        detected_in=frozenset({LOGS}),
        server="redis",
    ),
    Drill(
        "db-restart",
        "ends PostgreSQL (fast shutdown), which is then started again",
        "submits are refused with 503 and Retry-After, nothing is half accepted, and no other process needs a restart",
        bound_s=30.0,
        detected_in=frozenset({PROCESSES}),
        server="postgres",
    ),
    Drill(
        "db-down",
        "stops PostgreSQL (SIGSTOP): it neither answers nor refuses",
        "submits are refused with 503 and Retry-After, nothing is half accepted, and no process needs a restart",
        bound_s=15.0,
        lasts_s=10.0,
        settable=True,
        from_end=True,
        detected_in=frozenset({LOGS, CLIENTS}),
        server="postgres",
    ),
    Drill(
        "clock-skew",
        "starts two more workers, whose wall clocks are an hour behind and an hour ahead; kills the one ahead",
        "leases go by PostgreSQL's clock: no job is taken from the one behind, and those of the one ahead run "
        "elsewhere as soon as their lease is over",
        bound_s=2.0,
        leases=1,
        lasts_s=3.0,
        detected_in=frozenset({RESCUED}),
    ),
    Drill(
        "slow-disk",
        "keeps the disk of the home folder busy with writes that must reach it (fsync), as a bad neighbour does",
        "commits take longer, and that is all: no lease runs out, nothing is refused for good",
        bound_s=30.0,
        lasts_s=15.0,
        settable=True,
        from_end=True,
        undisturbed=True,
        server="postgres",
    ),
)

DRILLS: Mapping[str, Drill] = {drill.name: drill for drill in _ALL}
"""Every drill by its name, in the order in which `all` runs them."""
