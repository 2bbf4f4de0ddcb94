"""The attempts that a worker runs, and the packs in which its children are given them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model import Claim, Size
from invoicing.transport import PACKING, Packing
from workers.sandbox import ChildProcess

Key = tuple[UUID, int]
"""A job and the number of an attempt at it."""


@dataclass(eq=False)
class Attempt:
    """An attempt that this worker holds."""

    claim: Claim
    kind: JobKind | None
    """None where this build does not know it."""
    began_ns: int = 0
    """When it was claimed (nanoseconds since the epoch), where that is told."""
    stopping: str | None = None
    lost: bool = False

    @property
    def key(self) -> Key:
        """The job and the number of the attempt."""
        return self.claim.id, self.claim.attempt


@dataclass(eq=False)
class Pack:
    """Attempts that one child is given together, nearly always one; it holds a slot until the child is free again."""

    given: Sequence[Attempt]
    """In the order in which the child begins them."""
    size: Size
    """The class it counts in: of its jobs, or the one that the job turned out to belong to."""
    open: dict[Key, Attempt] = field(default_factory=dict)
    """Those whose end is not known yet."""
    took: dict[Key, timedelta] = field(default_factory=dict)
    """How long each of several worked (their time together is not the time of any of them), or one in a cold child."""
    child: ChildProcess | None = None
    began: float = 0.0
    """When the child was given it (event loop's clock)."""
    told: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it is told to stop, or given up, before it has a child."""
    kill_at: float | None = None
    """When its child is killed if it has not stopped by then."""
    dropped: bool = False
    """Those of its jobs that had not begun were taken back."""
    asked_early: bool = False
    """It was asked to give way before it had run its least, and is asked again when it has."""
    asked_at: float | None = None
    """Since when it is asked to give way."""
    outgrew_at: float | None = None
    """Since when it is known to be larger than the class it still counts in; that changes a moment later."""
    aside_at: float | None = None
    """Since when it goes on, or is frozen, without holding a slot."""
    back_at: float | None = None
    """When it was last given a slot again."""

    @classmethod
    def of(cls, *attempts: Attempt) -> "Pack":
        """Put attempts of one class together."""
        return cls(attempts, attempts[0].claim.size, {attempt.key: attempt for attempt in attempts})

    @property
    def aside(self) -> bool:
        """Whether it holds no slot."""
        return self.aside_at is not None

    @property
    def current(self) -> Attempt:
        """The attempt that its child is at: the last that began, as far as is known."""
        begun = 1 if self.child is None else self.child.begun
        return self.given[max(begun, 1) - 1]

    @property
    def outlived(self) -> bool:
        """Whether it has outlived the class it was claimed in, and holds the slot that it began with."""
        return self.back_at is None and self.size != self.given[0].claim.size

    def not_begun(self) -> list[Attempt]:
        """List the attempts that come after the current one."""
        place = self.given.index(self.current)
        return [attempt for attempt in self.given[place + 1 :] if attempt.key in self.open]

    def worked(self, now: float) -> float:
        """How long its child has been at it, without the time in which it was frozen or warmed up (seconds)."""
        if self.child is None:
            return 0.0
        return now - self.began - self.child.standstill.total(now)


def packed(attempts: Iterable[Attempt], packing: Packing = PACKING) -> list[Pack]:
    """Put short attempts of the smallest class together, in order, as they were taken; every other stands alone."""
    packs: list[Pack] = []
    short: list[Attempt] = []
    sum_s = 0.0
    for attempt in attempts:
        seconds = attempt.claim.predicted_s
        if attempt.claim.size != Size.SMALL or seconds > packing.job_s or attempt.kind is None:
            packs.append(Pack.of(attempt))
            continue
        if short and (len(short) == packing.jobs or sum_s + seconds > packing.sum_s):
            packs.append(Pack.of(*short))
            short, sum_s = [], 0.0
        short.append(attempt)
        sum_s += seconds
    return [*packs, Pack.of(*short)] if short else packs
