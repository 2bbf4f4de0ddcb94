"""What may hold a job before it runs: a person who looks at it first, a quota that is used up, or our staff's pause."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from invoicing.jobs.model.money import Money

SECONDS = "seconds"
"""The measure of predicted work; any other measure is a currency."""

EVERY_KIND = "*"
"""The kind of a quota that counts the jobs of all kinds which have none of their own."""

EVERYBODY = UUID(int=0)
"""The customer of a rule that concerns all who have none of their own."""

REJECTED = "review_rejected"
"""The code of the error that a job dies of when a reviewer says no."""

LONGEST_PAUSE = timedelta(days=31)
"""For how long a single job may be paused; its customer waits for it."""


def plain(number: Decimal) -> str:
    """Write a number without an exponent."""
    return f"{number:f}"


@dataclass(frozen=True)
class ReviewRule:
    """From what on a job is looked at by a person first: by whom, and within which time that is decided."""

    customer_id: UUID
    """`EVERYBODY`: of all who have no rule of their own for this kind and measure."""
    kind: str
    measure: str
    """`SECONDS`, or a currency: then the rule is about amounts in that currency alone."""
    threshold: Decimal
    owner: str
    """The role or team that decides; for our staff alone."""
    within: timedelta


@dataclass(frozen=True)
class Review:
    """That a job is looked at first: which rule says so, and what was measured."""

    rule: ReviewRule
    value: Decimal

    def as_json(self) -> dict[str, str]:
        """Give what its customer may know of it."""
        return {"measure": self.rule.measure, "limit": plain(self.rule.threshold), "value": plain(self.value)}


@dataclass(frozen=True)
class Terms:
    """What may hold a new job, as far as that is known when it is checked."""

    review: Review | None = None
    quota_id: UUID | None = None
    """A quota that counts it; whether there is a place is known when it is made durable."""

    @property
    def free(self) -> bool:
        """Whether nothing can hold it."""
        return self.review is None and self.quota_id is None


FREE = Terms()

RuleBook = Mapping[tuple[UUID, str], Mapping[str, ReviewRule]]
"""Rules by customer and kind, then by measure."""


def rules_for(book: RuleBook, customer_id: UUID, kind: str) -> Mapping[str, ReviewRule]:
    """Give the rules about a customer's jobs of a kind; its own take the place of those for everybody."""
    everybodys, own = book.get((EVERYBODY, kind)), book.get((customer_id, kind))
    if everybodys and own:
        return {**everybodys, **own}
    return own or everybodys or {}


def review_of(rules: Mapping[str, ReviewRule], seconds: float, money: Money | None) -> Review | None:
    """Say whether a job is looked at first; of amounts those beyond the threshold are, as of predicted work."""
    if money is not None and (rule := rules.get(money.currency)) and money.amount > rule.threshold:
        return Review(rule, money.amount)
    if (rule := rules.get(SECONDS)) and Decimal(repr(seconds)) > rule.threshold:
        return Review(rule, Decimal(repr(round(seconds, 3))))
    return None


_FARTHEST = 1_000
"""Periods beyond which no turn is foretold."""


class Period(StrEnum):
    """For how long a quota is; it is full again when the next one begins."""

    DAY = "day"
    MONTH = "month"


def period_start(period: Period, zone: str, moment: datetime, later: int = 0) -> datetime:
    """Say, in UTC, when the calendar day or month of a moment began in a time zone, or so many of them later."""
    place = ZoneInfo(zone)
    first = moment.astimezone(place).date()
    if period is Period.DAY:
        first += timedelta(days=later)
    else:
        years, month = divmod(first.month - 1 + later, 12)
        first = date(first.year + years, month + 1, 1)
    return datetime.combine(first, time(0), place).astimezone(UTC)


@dataclass(frozen=True)
class Quota:
    """How many jobs of a customer may be carried out in a period, and how many have a place in the present one."""

    id: UUID
    customer_id: UUID
    kind: str
    """`EVERY_KIND`: of all kinds that have no quota of their own."""
    most: int | None
    """None: it has ended, and lets go what it held."""
    period: Period
    zone: str
    begun_at: datetime
    """When the period began that `used` is about."""
    used: int
    waiting: int
    """Jobs that wait for a place."""

    def at(self, moment: datetime) -> "Quota":
        """Give it as it is at a moment: in a new period all places are free again."""
        begun = period_start(self.period, self.zone, moment)
        return self if begun <= self.begun_at else replace(self, begun_at=begun, used=0)

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self.waiting if self.most is None else max(0, self.most - self.used)

    @property
    def resets_at(self) -> datetime:
        """When the next period begins."""
        return self.begins(1)

    def as_json(self) -> dict[str, object]:
        """Give what its customer may know of it."""
        return {"limit": self.most, "period": self.period, "zone": self.zone, "resets_at": self.resets_at}

    def begins(self, later: int) -> datetime:
        """Say when the period begins that comes so many later."""
        return period_start(self.period, self.zone, self.begun_at, later)

    def turn_of(self, ahead: int) -> datetime | None:
        """Say when a job has its place, before which so many wait; None: there is one for it now."""
        if self.most is None or ahead < self.free:
            return None
        return self.begins(min((ahead - self.free) // self.most + 1, _FARTHEST))


@dataclass(frozen=True)
class Seat:
    """What a quota has for a newcomer: a place, or the time at which it should have one."""

    quota: Quota
    held: bool
    turn_at: datetime | None = None

    @property
    def taken(self) -> Quota:
        """The quota with this newcomer counted."""
        return replace(self.quota, used=self.quota.used + (not self.held), waiting=self.quota.waiting + self.held)


def seats(quota: Quota, count: int) -> Iterator[Seat]:
    """Seat newcomers in their order; who comes while others wait is behind them, whatever is free."""
    fits = 0 if quota.waiting else min(quota.free, count)
    yield from (Seat(quota, held=False) for _ in range(fits))
    full = replace(quota, used=quota.used + fits)
    yield from (Seat(quota, held=True, turn_at=full.turn_of(quota.waiting + n)) for n in range(count - fits))


@dataclass(frozen=True)
class InReview:
    """An open review, as its job's customer may know it."""

    since: datetime
    due: datetime
    measure: str
    threshold: Decimal
    value: Decimal


@dataclass(frozen=True)
class AwaitingQuota:
    """A job that waits for a place of a quota."""

    since: datetime
    quota: Quota
    """As it is now."""
    ahead: int
    """How many wait before it."""
    at_least: bool
    """Whether no more than that were counted."""


@dataclass(frozen=True)
class JobPause:
    """That our staff stopped a waiting job until a time, as its customer may know it."""

    since: datetime
    until: datetime
    by: str
    """The role of whoever did it."""
    message: str | None
    """What its customer reads of the reason; None: nothing."""


Hold = InReview | AwaitingQuota | JobPause
