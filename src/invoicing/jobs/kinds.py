"""What a kind of job declares about itself, and what it is given to work with."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from pydantic import BaseModel

from invoicing.jobs.model import Outcome, Priority, Progress, RetryPolicy, Size
from invoicing.jobs.model.calendars import Promise
from invoicing.jobs.model.dependencies import NAME, signed
from invoicing.jobs.model.keeping import SHORTEST, USUAL, Keep
from invoicing.jobs.model.money import Money
from invoicing.kit.db import Session
from invoicing.kit.problems import Finding


class GivesWay(StrEnum):
    """What work between two checkpoints bears when it must give way and does not reach the next one soon."""

    FREEZE = "freeze"
    """To be stopped for minutes or hours where it stands, and continued: it holds nothing open outside its steps, no
    connection that times out, no lock, no file that others write."""
    RESTART = "restart"
    """To be killed and started again from its last checkpoint, perhaps elsewhere: little work lies between two."""


class StopRequested(Exception):  # noqa: N818 - an order, not an error
    """The attempt must stop at this checkpoint; raised there, and caught by who runs the kind."""

    def __init__(self, why: str) -> None:
        """Say why: `cancel`, `drain`, `yield`, `lost` or `ledger_away`."""
        super().__init__(why)
        self.why = why


class Performance(Protocol):
    """One attempt at a job, as its kind sees it. Nothing here may be used after `perform` has returned."""

    job_id: UUID
    customer_id: UUID
    reference: str | None
    attempt: int
    failures: int
    saved: Mapping[str, Any] | None
    """What the last `checkpoint` of an earlier attempt kept, None at the first."""
    settings: Mapping[str, str]
    """Settings of kinds, by name, as the worker was given them."""

    def step(
        self, progress: Progress | None = None, saved: Mapping[str, Any] | None = None, *, irrevocable: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """Open a fenced transaction; progress and what to keep are committed with what the block writes.

        An `irrevocable` step is the last that cancelling can forestall: once it is committed, a cancel is refused.

        Raises `StopRequested` on entering when the attempt is no longer the current one, and after the commit when
        the attempt must stop. The ends of two steps should lie at most a second of work apart.
        """

    async def checkpoint(self, done: float, total: float, unit: str, saved: Mapping[str, Any] | None = None) -> None:
        """Commit how far the work is and what a later attempt needs; raises `StopRequested` like `step`."""

    async def parts(self) -> Sequence[tuple[int, int]]:
        """List the parts of a streamed payload: (part number from 1, number of items)."""

    async def part(self, number: int) -> bytes:
        """Read one part of a streamed payload: a JSON array of its items."""

    async def write_part(self, session: Session, name: str, media_type: str, seq: int, body: bytes) -> None:
        """Write a part of a result file inside a step."""

    async def complete(self, session: Session, name: str, sha256: str) -> None:
        """Declare a result file finished inside a step; `sha256` is the hex digest of all its parts in order."""

    def content(self, name: str) -> AsyncIterator[bytes]:
        """Read the parts of a result file in order."""


class StreamAudit(Protocol):
    """Checks a request in pieces: its header when made, then part after part in order, then what only the end shows."""

    def part(self, items: Sequence[Any], first_index: int) -> Sequence[Finding]:
        """Find what is wrong with some validated items (and, the first time, with the header)."""

    def end(self) -> Sequence[Finding]:
        """Find what is wrong with the whole."""


@dataclass(frozen=True)
class Streamed:
    """A field of the payload that may hold very many items: they are checked and stored in parts, never held whole."""

    field: str
    header: type[BaseModel]
    """What the payload is without that field: this is validated, and performed with, where it was split off."""
    item: type[BaseModel]
    part_size: int
    whole_up_to: int
    """Up to this many items the payload is kept as it came, in one piece."""
    audit: Callable[[Any], "StreamAudit"] | None = None
    """Begins the check of a split request, given its header (which `JobKind.check` is then not asked about)."""


def _nothing(_payload: Any) -> Sequence[Finding]:  # noqa: ANN401 - a kind's own payload type
    return ()


def _worth_nothing(_payload: Any, _audit: "StreamAudit | None") -> Money | None:  # noqa: ANN401 - as above
    """Have no amount that anybody would look at first."""
    return None


def _any_currency() -> Collection[str]:
    """Leave it open in which currencies requests are."""
    return ()


def _idle(_settings: Mapping[str, str]) -> None:
    """Warm nothing up."""


def _all_of_them(_payload: Any) -> None:  # noqa: ANN401 - a kind's own payload type
    """Need whatever the kind depends on."""


async def _all_may_go(_session: Session, _jobs: Sequence[UUID]) -> Collection[UUID]:
    """Keep nothing about a job elsewhere, and hold none back."""
    return ()


@dataclass(frozen=True)
class JobKind:
    """A kind of job: the whole of what the service knows about it. One file in `workers/kinds/` makes one of these."""

    name: str
    title: str
    payload: type[BaseModel]
    size: Callable[[Any, int], float]
    """Predicts seconds of work from a payload and the number of streamed items that were split off it."""
    perform: Callable[[Performance, Any], Awaitable[Outcome]]
    """Does the work in a child process; may block and burn CPU, but not while it holds a step open. Where the streamed
    field was split off it is given the header, and reads the items with `parts` and `part`."""
    check: Callable[[Any], Sequence[Finding]] = _nothing
    """Finds what the schema cannot say (fields as pointers into the payload); a finding refuses the request."""
    amount: Callable[[Any, StreamAudit | None], Money | None] = _worth_nothing
    """Says what a request that may be carried out is worth, so that a person looks at large amounts first; of one whose
    items were split off it is given the header, and the audit that has seen them all."""
    currencies: Callable[[], Collection[str]] = _any_currency
    """Lists those in which a request may be worth anything, so that nobody waits for amounts in another; none: any."""
    streamed: Streamed | None = None
    promise: Mapping[Size, Promise] = field(
        default_factory=lambda: {
            Size.SMALL: timedelta(minutes=5),
            Size.MEDIUM: timedelta(minutes=15),
            Size.LARGE: timedelta(hours=1),
            Size.HUGE: timedelta(hours=8),
        }
    )
    """Within which time its jobs are to end, by size class: by the clock, or (`OpenTime`) while a calendar is open. A
    customer may have an agreement of its own."""
    timeout: timedelta = timedelta(hours=12)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    memory_mb: int = 1024
    """A child process that holds more than this is killed and the attempt fails with `memory_limit`."""
    grace: timedelta = timedelta(seconds=5)
    """How long after being told to stop an attempt may take to reach its next checkpoint before it is killed."""
    gives_way: frozenset[GivesWay] = frozenset()
    """What it bears beyond stopping at checkpoints. Nothing: it goes on beside others, with the lowest weight."""
    warm_up: Callable[[Mapping[str, str]], None] = _idle
    """Runs once, given the settings, in each child process before its first job, so that no job pays for it."""
    dependencies: Mapping[str, str] = field(default_factory=dict)
    """What its work needs from outside, by name, each with the title that customers read: "the tax authority's
    gateway". An attempt that fails because of one says so: `Failed(..., dependency=name)`."""
    needs: Callable[[Any], Collection[str] | None] = _all_of_them
    """Picks those that a payload needs (of a split request: its header); None: all of them."""
    default_priority: Priority = Priority.NORMAL
    keep: Keep = USUAL
    """How long its finished jobs are kept, with their requests, files and history; a setting may change that ..."""
    keep_at_least: Keep = SHORTEST
    """... but never below this, where a law or a contract says so."""
    let_go: Callable[[Session, Sequence[UUID]], Awaitable[Collection[UUID]]] = _all_may_go
    """Removes, in the transaction in which finished jobs are removed, what the kind keeps about them in tables of its
    own; gives those that must stay."""
    example: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse dependencies whose names cannot travel."""
        wrong = [name for name in self.dependencies if NAME.fullmatch(name) is None]
        if wrong:
            raise ValueError(f"the kind {self.name} names its dependency {wrong[0]!r}; it must match {NAME.pattern}")

    @property
    def has_worth(self) -> bool:
        """Whether it says what a request is worth."""
        return self.amount is not _worth_nothing

    def needed(self, payload: Any) -> str:  # noqa: ANN401 - its own payload type
        """Name what a payload needs from outside, as it is kept with its job."""
        picked = self.needs(payload) if self.dependencies else ()
        return signed(self.dependencies if picked is None else self.dependencies.keys() & set(picked))


Kinds = Mapping[str, JobKind]
