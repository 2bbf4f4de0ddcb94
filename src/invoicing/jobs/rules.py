"""What may hold jobs of which customer: reviews and quotas, set by admins, known to web processes from memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service as customers
from invoicing.customers.model import Principal
from invoicing.jobs import holding
from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model.holds import (
    EVERY_KIND,
    EVERYBODY,
    FREE,
    Period,
    Quota,
    ReviewRule,
    RuleBook,
    Terms,
    plain,
    review_of,
    rules_for,
)
from invoicing.jobs.model.money import Money
from invoicing.jobs.store import quotas, reviews
from invoicing.jobs.store.quotas import all_quotas
from invoicing.jobs.store.reviews import all_rules
from invoicing.kit.db import Session, transaction

Worth = Callable[[], Money | None]
"""Says what a job's payload is worth; it may take a while, and is asked only where a rule wants to know."""


class Rules:
    """Knows what one web process has to know to hold jobs: nothing is asked while somebody waits."""

    def __init__(self) -> None:
        """Know of nothing that holds."""
        self._reviews: RuleBook = {}
        self._quotas: Mapping[tuple[UUID, str], UUID] = {}

    def terms(self, kind: JobKind, customer_id: UUID, estimated_s: float, worth: Worth) -> Terms:
        """Say what may hold a new job."""
        if not self._reviews and not self._quotas:
            return FREE
        rules = rules_for(self._reviews, customer_id, kind.name)
        review = review_of(rules, estimated_s, worth()) if rules else None
        own = self._quotas.get((customer_id, kind.name)) or self._quotas.get((customer_id, EVERY_KIND))
        return Terms(review, None if review else own)

    async def refresh(self, session: Session) -> None:
        """Take over what holds now."""
        self._reviews = await all_rules(session)
        found = await all_quotas(session)
        self._quotas = {(quota.customer_id, quota.kind): quota.id for quota in found if quota.most is not None}


async def kinds_of(session: Session) -> frozenset[str]:
    """Name the kinds about which there are rules or quotas, offered still or not."""
    return frozenset(of[1] for of in await all_rules(session)) | {one.kind for one in await all_quotas(session)}


@dataclass(frozen=True)
class Wanted:
    """A rule about reviews that an admin wants, or (without a time) wants no more."""

    customer: str | None
    """A slug; None: everybody who has no rule of its own."""
    kind: str
    measure: str
    threshold: Decimal
    owner: str
    within: timedelta | None


async def set_review(engine: AsyncEngine, principal: Principal, wanted: Wanted, why: str) -> Mapping[str, ReviewRule]:
    """Set from what on jobs are looked at first, or end that; on the audit with what held before.

    Gives the rules that are set for that customer, or for everybody, about the kind. Raises `Problem` when there is no
    such customer.
    """
    async with transaction(engine) as session:
        customer_id = EVERYBODY if wanted.customer is None else (await customers.held(session, wanted.customer)).id
        of = (customer_id, wanted.kind)
        before = await reviews.rules_of(session, *of)
        if wanted.within is None:
            await reviews.take_away(session, *of, wanted.measure)
        else:
            rule = ReviewRule(*of, wanted.measure, wanted.threshold, wanted.owner, wanted.within)
            await reviews.put(session, rule)
        after = await reviews.rules_of(session, *of)
        data = {"kind": wanted.kind, "from": _plain(before), "to": _plain(after)}
        target = "everybody" if wanted.customer is None else f"customer:{customer_id}"
        await customers.audit(session, principal, "reviews.set", target, why, data)
    return after


def _plain(rules: Mapping[str, ReviewRule]) -> dict[str, Any]:
    return {measure: rule_view(rule) for measure, rule in rules.items()}


def rule_view(rule: ReviewRule) -> dict[str, Any]:
    """Show a rule."""
    return {
        "measure": rule.measure,
        "above": plain(rule.threshold),
        "owner": rule.owner,
        "within_hours": rule.within.total_seconds() / 3600,
    }


@dataclass(frozen=True)
class Allowance:
    """A quota that an admin wants, or (without a number) wants no more."""

    customer: str
    kind: str
    """`EVERY_KIND`: all kinds that have no quota of their own."""
    most: int | None
    period: Period
    zone: str


async def set_quota(engine: AsyncEngine, principal: Principal, wanted: Allowance, why: str) -> tuple[Quota, int]:
    """Set a quota, or end it; on the audit. Gives it, and how many jobs it let go at once.

    The first for which there is a place now go with the same commit; of more than `holding.AT_ONCE` the rest within
    seconds. Raises `Problem` when there is no such customer.
    """
    async with transaction(engine) as session:
        customer = await customers.held(session, wanted.customer)
        before = await quotas.held_for_itself(session, customer.id, wanted.kind)
        quota = await quotas.put(session, customer.id, wanted.kind, wanted.most, wanted.period, wanted.zone)
        data = {"kind": wanted.kind, "from": before and quota_data(before), "to": quota_data(quota)}
        await customers.audit(session, principal, "quota.set", f"customer:{customer.id}", why, data)
        counted = await holding.let_go(session, quota)
    return counted, quota.waiting - counted.waiting


def quota_data(quota: Quota) -> dict[str, Any]:
    """Give what of a quota was set."""
    return {"most": quota.most, "period": quota.period, "zone": quota.zone}


__all__ = [
    "Allowance",
    "Rules",
    "Wanted",
    "Worth",
    "all_quotas",
    "all_rules",
    "kinds_of",
    "quota_data",
    "rule_view",
    "set_quota",
    "set_review",
]
