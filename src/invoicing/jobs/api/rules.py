"""What holds jobs before they run: from what on they are reviewed, and quotas; seen and set by admins."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service as customers
from invoicing.customers.api.admin import TAG, Slug, Words
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs import rules
from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model.holds import EVERY_KIND, EVERYBODY, SECONDS, Period, Quota
from invoicing.jobs.rules import Allowance, Wanted, quota_data, rule_view
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import REFS, Given, Router
from invoicing.kit.http.forms import form
from invoicing.kit.problems import Problem

_FEWEST_HOURS, _MOST_HOURS = 0.01, 8_760.0
_MOST_JOBS = 1_000_000_000

Amount = Annotated[str, Field(pattern=r"^\d{1,15}(\.\d{1,4})?$", examples=["10000.00"])]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["CNY"])]


class ReviewForm(BaseModel):
    """From what on a person looks at jobs of a kind first: above an amount, or above so much predicted work."""

    model_config = ConfigDict(extra="forbid")

    customer: Annotated[Slug | None, Field(description="Null: everybody who has no rule of its own.")] = None
    kind: Annotated[str, Field(max_length=100)]
    amount: Annotated[Amount | None, Field(description="Reviewed is what is worth more, with `currency`.")] = None
    currency: Currency | None = None
    seconds: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] | None = Field(
        None, description="Or: reviewed is what its kind predicts to take longer."
    )
    owner: Annotated[
        Words | None,
        Field(description="The role or team that decides; customers do not see it. Not needed to end a rule."),
    ] = None
    within_hours: Annotated[float, Field(ge=_FEWEST_HOURS, le=_MOST_HOURS, allow_inf_nan=False)] | None = Field(
        description="Within which time it is decided; null ends the rule."
    )
    reason: Annotated[Words, Field(description="Why; goes on the audit.", examples=["large sums are looked at"])]

    @model_validator(mode="after")
    def _one_measure(self) -> "ReviewForm":
        if (self.amount is None) == (self.seconds is None) or (self.amount is None) != (self.currency is None):
            raise ValueError("give amount and currency, or seconds")
        return self

    @property
    def within(self) -> timedelta | None:
        """Within which time it is decided; None ends the rule."""
        return None if self.within_hours is None else timedelta(hours=self.within_hours)

    @property
    def measure(self) -> tuple[str, Decimal]:
        """Give what is measured, and from what on."""
        if self.currency is not None and self.amount is not None:
            return self.currency, Decimal(self.amount)
        return SECONDS, Decimal(repr(self.seconds or 0.0))


class RuleBody(BaseModel):
    """A rule about reviews."""

    measure: str = Field(description="A currency, or `seconds` of predicted work.")
    above: str
    owner: str
    within_hours: float


class ReviewsBody(BaseModel):
    """The rules about a kind that are set for a customer, or for everybody."""

    customer: str | None
    kind: str
    rules: list[RuleBody]


class ReviewsList(BaseModel):
    """Every rule."""

    items: list[ReviewsBody]
    next_page_token: None


class QuotaForm(BaseModel):
    """How many jobs of a customer may be carried out in a calendar day or month."""

    model_config = ConfigDict(extra="forbid")

    customer: Slug
    kind: Annotated[str | None, Field(max_length=100, description="Null: all kinds without a quota of their own.")] = (
        None
    )
    most: Annotated[int, Field(ge=1, le=_MOST_JOBS)] | None = Field(description="Null ends the quota.")
    period: Period = Period.DAY
    zone: Annotated[str, Field(max_length=64, examples=["Asia/Shanghai"], description="An IANA time zone.")] = "UTC"
    reason: Annotated[Words, Field(description="Why; goes on the audit.", examples=["agreed in the contract of May"])]


class QuotaBody(BaseModel):
    """A quota, and what it has counted."""

    customer: str
    kind: str | None = Field(description="Null: all kinds that have no quota of their own.")
    most: int | None = Field(description="Null: it has ended; what it held goes within seconds.")
    period: Period
    zone: str
    used: int = Field(description="Jobs that have a place in this period.")
    waiting: int = Field(description="Jobs that wait for one.")
    resets_at: datetime


class QuotaSet(QuotaBody):
    """A quota as it was set."""

    let_go: int = Field(description="Jobs that went with it at once; of very many the rest within seconds.")


class QuotaList(BaseModel):
    """Every quota."""

    items: list[QuotaBody]
    next_page_token: None


@dataclass(frozen=True)
class RulesOffice:
    """Where admins see and set what holds jobs."""

    gate: Gate
    engine: AsyncEngine
    kinds: Kinds

    async def reviews(self, request: Request) -> Response:
        """Answer `GET /v1/admin/reviews`."""
        await self.gate.staff(request, Role.ADMIN)
        async with self.engine.connect() as session:
            slugs = {customer.id: customer.slug for customer in await customers.all_customers(session)}
            found = await rules.all_rules(session)
        items = [
            {"customer": slugs.get(customer), "kind": kind, "rules": [rule_view(rule) for rule in of_kind.values()]}
            for (customer, kind), of_kind in found.items()
            if customer == EVERYBODY or customer in slugs
        ]
        return answer({"items": items, "next_page_token": None})

    async def set_review(self, request: Request) -> Response:
        """Answer `POST /v1/admin/reviews`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, ReviewForm)
        kind = await self._kind(asked.kind, ends=asked.within is None)
        wanted = Wanted(asked.customer, kind, *asked.measure, asked.owner or "", asked.within)
        self._refuse_where_it_holds_nothing(wanted)
        found = await rules.set_review(self.engine, principal, wanted, asked.reason)
        shown = [rule_view(rule) for rule in found.values()]
        return answer({"customer": asked.customer, "kind": kind, "rules": shown})

    async def quotas(self, request: Request) -> Response:
        """Answer `GET /v1/admin/quotas`."""
        await self.gate.staff(request, Role.ADMIN)
        async with self.engine.connect() as session:
            slugs = {customer.id: customer.slug for customer in await customers.all_customers(session)}
            found = await rules.all_quotas(session)
        return answer({"items": [_view(quota, slugs[quota.customer_id]) for quota in found], "next_page_token": None})

    async def set_quota(self, request: Request) -> Response:
        """Answer `POST /v1/admin/quotas`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, QuotaForm)
        if asked.zone not in available_timezones():
            remedy = "Name one of the IANA database, such as Europe/Berlin."
            raise Problem("bad_input", f"There is no time zone {asked.zone!r}.", field="/zone", remedy=remedy)
        kind = EVERY_KIND if asked.kind is None else await self._kind(asked.kind, ends=asked.most is None)
        wanted = Allowance(asked.customer, kind, asked.most, asked.period, asked.zone)
        quota, gone = await rules.set_quota(self.engine, principal, wanted, asked.reason)
        return answer({**_view(quota, asked.customer), "let_go": gone})

    async def _kind(self, name: str, *, ends: bool) -> str:
        """Refuse an unknown kind; what holds jobs of one that is offered no more may still be ended."""
        if name in self.kinds:
            return name
        async with self.engine.connect() as session:
            if ends and name != EVERY_KIND and name in await rules.kinds_of(session):
                return name
        remedy = f"The kinds are {', '.join(self.kinds)}."
        raise Problem("bad_input", "There is no such kind of job.", field="/kind", remedy=remedy)

    def _refuse_where_it_holds_nothing(self, wanted: Wanted) -> None:
        """Raise `Problem` where nobody would decide, or nothing would ever be looked at; a rule may always be ended."""
        if wanted.within is None:
            return
        if not wanted.owner:
            detail, remedy = "/owner: Somebody has to decide.", "Name a role or team; customers do not see it."
            raise Problem("bad_input", detail, field="/owner", remedy=remedy)
        if wanted.measure != SECONDS:
            _refuse_amounts_of_nobody(self.kinds[wanted.kind], wanted.measure)


def _refuse_amounts_of_nobody(kind: JobKind, currency: str) -> None:
    if not kind.has_worth:
        detail = f"/amount: Nobody knows what a job of the kind {kind.name} is worth: none would be reviewed."
        raise Problem("bad_input", detail, field="/amount", remedy="Give seconds, in the place of amount and currency.")
    known = kind.currencies()
    if known and currency not in known:
        detail = f"/currency: No job of the kind {kind.name} can be in {currency}: none would be reviewed."
        raise Problem("bad_input", detail, field="/currency", remedy="Give a currency by its code in ISO 4217: EUR.")


def _view(quota: Quota, slug: str) -> dict[str, Any]:
    counted = {"used": quota.used, "waiting": quota.waiting, "resets_at": quota.resets_at.astimezone(UTC)}
    kind = None if quota.kind == EVERY_KIND else quota.kind
    return {"customer": slug, "kind": kind, **quota_data(quota), **counted}


def add_rules(router: Router, office: RulesOffice) -> None:
    """Add the routes."""
    router.models.extend([ReviewForm, QuotaForm])
    router.operation(
        "GET",
        "/v1/admin/reviews",
        office.reviews,
        name="listReviewRules",
        summary="List from what on jobs are reviewed (admin)",
        tag=TAG,
        answers={200: Given("The rules.", {"application/json": ReviewsList})},
    )
    router.operation(
        "POST",
        "/v1/admin/reviews",
        office.set_review,
        name="setReviewRule",
        summary="Set from what on jobs of a kind are reviewed by a person (admin)",
        text="A rule for a customer takes the place of one for everybody about the same measure. In force within "
        "seconds, for new jobs; reviews that are open stay. Goes on the audit with what held before.",
        tag=TAG,
        body=_body("ReviewForm"),
        answers={200: Given("What is set about that kind now.", {"application/json": ReviewsBody})},
        problems=[400, 408, 413, 415, 422],
    )
    router.operation(
        "GET",
        "/v1/admin/quotas",
        office.quotas,
        name="listQuotas",
        summary="List the quotas of customers (admin)",
        tag=TAG,
        answers={200: Given("The quotas.", {"application/json": QuotaList})},
    )
    router.operation(
        "POST",
        "/v1/admin/quotas",
        office.set_quota,
        name="setQuota",
        summary="Set how many jobs of a customer may be carried out in a day or month (admin)",
        text="Jobs beyond it are accepted and wait for a place (`awaiting_quota`). New jobs count within seconds; "
        "where more have places than before, those that wait go at once, the oldest first. A quota for a kind counts "
        "its jobs instead of that for all kinds. Goes on the audit with what held before.",
        tag=TAG,
        body=_body("QuotaForm"),
        answers={200: Given("The quota, and how many jobs it let go.", {"application/json": QuotaSet})},
        problems=[400, 408, 413, 415, 422],
    )


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": REFS.format(model=name)}}}}
