"""What a campaign saw from outside: the clients' requests with every answer, and what the service tells at the end.

Nothing in here, nor in what judges it, knows the service's code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

NOTHING_CAME = "ReadTimeout"
"""What an answer's detail says where the client gave up waiting."""

FINAL = frozenset({"succeeded", "dead", "cancelled"})


@dataclass(frozen=True)
class Answer:
    """An answer to a request, or what came instead of one."""

    asked: str
    """Method and path, without ids."""
    at: float
    """When it was sent (seconds since 1970)."""
    took: float
    status: int | None
    """None: the connection broke, or nothing came in time."""
    retry_after: str | None = None
    detail: str = ""


@dataclass
class Request:
    """A job that a client wants done, under one Idempotency-Key for ever."""

    key: str
    customer: str
    kind: str
    may_end: frozenset[str]
    """The states in which it may end."""
    sent_at: float = 0.0
    ids: set[str] = field(default_factory=set)
    """The jobs that were named in a 202."""
    cancelled: bool = False
    """The service said that it cancels the job."""
    unseen: int = 0
    """How often the job was not to be found right after its 202."""


@dataclass(frozen=True)
class Entry:
    """A row of a job's timeline."""

    seq: int
    event: str
    state: str
    attempt: int
    at: float = 0.0


@dataclass(frozen=True)
class Attempt:
    """A row of a job's attempts."""

    number: int
    outcome: str | None
    started_at: float = 0.0
    ended_at: float | None = None
    error: str | None = None
    """The code of its error."""


@dataclass(frozen=True)
class File:
    """A result file: the hashes that the API, the ledger and the ETag state, and the one of the bytes that came."""

    name: str
    shown: str | None
    kept: str | None
    tagged: str | None
    fetched: str
    number: str | None = None
    """The number that stands in an invoice's XML."""


@dataclass(frozen=True)
class Job:
    """A job, as the ledger keeps it and as the API shows it."""

    id: str
    customer: str
    kind: str
    state: str
    shown: str | None
    """The state that the API tells; None where it knows no such job."""
    revision: int
    attempt: int
    keys: Sequence[str]
    parts: int
    """In how many pieces its payload is kept."""
    timeline: Sequence[Entry]
    told: Sequence[tuple[int, str, str]]
    """The timeline that the API tells: seq, event, state."""
    attempts: Sequence[Attempt] = ()
    files: Sequence[File] = ()
    number: str | None = None
    """The invoice's number in the job's result."""
    leased: bool = False
    finished_at: float | None = None


@dataclass(frozen=True)
class Series:
    """A series of invoice numbers, as the ledger counts it."""

    customer: str
    series: str
    last: int
    numbered: Sequence[tuple[str, str, bool]]
    """Each number that it gave: (number, job, whether it says that the invoice is issued)."""


@dataclass(frozen=True)
class Hook:
    """A webhook of a customer, as it was added."""

    name: str
    customer: str
    secret: str
    events: frozenset[str] | None = None
    """What it wants to be told of; None: everything."""


@dataclass(frozen=True)
class Arrival:
    """A message as it came to a webhook, in the order in which they came."""

    hook: str
    at: float
    """When it came (seconds since 1970)."""
    id: str
    timestamp: str
    signature: str
    body: bytes
    accepted: bool
    """Whether it was answered with 2xx; else it was refused, or the answer was cut off."""


@dataclass(frozen=True)
class Sighting:
    """An unfinished job as its customer saw it at a moment."""

    at: float
    """When it was asked for (seconds since 1970)."""
    job: str
    cause: str


@dataclass(frozen=True)
class Seen:
    """All that was seen."""

    requests: Sequence[Request] = ()
    answers: Sequence[Answer] = ()
    jobs: Sequence[Job] = ()
    series: Sequence[Series] = ()
    loose: dict[str, int] = field(default_factory=dict)
    """Rows that belong to no job, by table."""
    counted_waiting: int = 0
    """How many jobs the ledger counts as waiting."""
    hooks: Sequence[Hook] = ()
    arrivals: Sequence[Arrival] = ()
    sightings: Sequence[Sighting] = ()
    """In the order in which they were made; each look sees all unfinished jobs of a customer."""
    kills: int = 0
    """How many processes were killed in which work may have run."""
