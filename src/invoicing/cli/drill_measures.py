"""What a drill saw, as values: its witnesses (jobs of its own), signs of the fault, and what follows from both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from invoicing.cli.drill_promises import CLIENTS, RESCUED, RETRYING

_FINAL = frozenset({"succeeded", "dead", "cancelled"})
LOST = frozenset({RESCUED, RETRYING})
"""Events by which an attempt ends that did not do its work."""


@dataclass(frozen=True)
class Event:
    """A row of a job's timeline; times are seconds since 1970."""

    at: float
    name: str
    attempt: int


@dataclass(frozen=True)
class Refusal:
    """A submit that was not accepted; `status` is None where no answer came."""

    at: float
    status: int | None
    retry_after: bool
    words: str

    @property
    def polite(self) -> bool:
        """Whether a client can live with it: no answer at all (its key makes it safe), or asked to come again."""
        return self.status is None or (self.status in {429, 503} and self.retry_after)


@dataclass(frozen=True)
class Witness:
    """A job of the drill: `held` if it was there when the fault came, else a probe of the time after."""

    key: str
    held: bool
    asked_at: float
    accepted_at: float | None = None
    job_id: str | None = None
    refusals: tuple[Refusal, ...] = ()
    events: tuple[Event, ...] = ()
    replayed_id: str | None = None
    """Which job the same request under the same key names at the very end."""

    @property
    def ends(self) -> Sequence[Event]:
        """Its final events: one, if all is well."""
        return [event for event in self.events if event.name in _FINAL]

    @property
    def ended_at(self) -> float | None:
        """When it ended."""
        return self.ends[0].at if self.ends else None

    def resumed_at(self, since: float) -> float | None:
        """When it began to run after it was held up by what happened then; None when it was not, or never did."""
        began = [event.at for event in self.events if event.name == "started"]
        lost = [event.at for event in self.events if event.name in LOST and event.at >= since]
        if not lost and any(at < since for at in began):
            return None
        held_up = max(lost, default=since)
        return min((at for at in began if at >= held_up), default=None)


@dataclass(frozen=True)
class Sign:
    """Something that told of the fault: where it was seen, and what was seen there."""

    at: float
    source: str
    what: str


@dataclass(frozen=True)
class Blow:
    """What was done, to whom, and when."""

    at: float
    what: str


@dataclass(frozen=True)
class Measured:
    """All of one drill."""

    blow: Blow
    healed_at: float
    from_end: bool
    workers: int
    """How many worker processes the service had."""
    lease_s: float
    """How long their leases are."""
    witnesses: Sequence[Witness]
    signs: Sequence[Sign]
    jobs: int | None
    """How many jobs the ledger has under the drill's reference; None when it did not say."""
    spared: frozenset[str] = frozenset()
    """Jobs that the fault must not touch."""
    slowdown: float | None = None
    """How many times slower a sync to disk was (slow-disk)."""

    @property
    def counts_from(self) -> float:
        """The moment from which the bound counts."""
        return self.healed_at if self.from_end else self.blow.at

    @property
    def first_sign(self) -> Sign | None:
        """The first that anybody could have noticed."""
        return min(self.signs, key=lambda sign: sign.at, default=None)

    def detected(self, sources: frozenset[str]) -> Sign | None:
        """Find the first sign in one of some places."""
        return min((sign for sign in self.signs if sign.source in sources), key=lambda sign: sign.at, default=None)

    @property
    def runs_again_at(self) -> float | None:
        """When the last of those that the fault held up began to run; None where it held up none."""
        resumed = [one.resumed_at(self.blow.at) for one in self.witnesses if one.held]
        return max((at for at in resumed if at is not None), default=None)

    @property
    def works_again_at(self) -> float | None:
        """When a job was done that was asked for after the fault."""
        ended = [one.ended_at for one in self.witnesses if not one.held and one.asked_at >= self.counts_from]
        return min((at for at in ended if at is not None), default=None)

    @property
    def recovered_s(self) -> float | None:
        """Seconds until new work is done and old work runs; None when new work was never done."""
        new, old = self.works_again_at, self.runs_again_at
        return None if new is None else max(0.0, max(new, old or new) - self.counts_from)

    @property
    def refusals(self) -> Sequence[Refusal]:
        """Every submit that was not accepted."""
        return sorted((one for witness in self.witnesses for one in witness.refusals), key=lambda one: one.at)


def signs_of(witnesses: Sequence[Witness], since: float) -> Iterator[Sign]:
    """Find the signs that jobs and their clients saw."""
    for witness in witnesses:
        for event in witness.events:
            if event.at >= since and event.name in LOST:
                yield Sign(event.at, event.name, f"timeline of job {witness.job_id}: {event.name}")
        for refusal in witness.refusals:
            if refusal.at >= since:
                yield Sign(refusal.at, CLIENTS, f"a submit was answered {refusal.words}")
