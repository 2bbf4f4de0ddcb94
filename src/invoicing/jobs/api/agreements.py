"""What is promised to customers otherwise than kinds say: seen and agreed by admins."""

from dataclasses import dataclass
from datetime import time, timedelta
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service as customers
from invoicing.customers.api.admin import TAG, Slug, Words
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs import agreements
from invoicing.jobs.agreements import promise_from, promise_view
from invoicing.jobs.api.schemas import CalendarBody
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import Size
from invoicing.jobs.model.calendars import Calendar
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.http.forms import form
from invoicing.kit.problems import Problem

_MOST_HOURS = 8_760.0

Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["09:00"])]


class CalendarForm(BaseModel):
    """When somebody works, by the clock of a place."""

    model_config = ConfigDict(extra="forbid")

    zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", examples=["Europe/Berlin"])]
    opens: Clock
    closes: Annotated[Clock, Field(description="00:00: midnight at the end of the day.")]
    weekdays: Annotated[
        list[Annotated[int, Field(ge=0, le=6)]], Field(min_length=1, max_length=7, description="0 is Monday.")
    ] = [0, 1, 2, 3, 4]
    country: Annotated[str | None, Field(pattern="^[A-Z]{2}$", description="Closed on its public holidays.")] = None
    subdivision: Annotated[str | None, Field(pattern="^[A-Za-z0-9]{1,6}$", description="And on those of a region.")] = (
        None
    )

    def calendar(self) -> Calendar:
        """Make the calendar."""
        opens, closes = time.fromisoformat(self.opens), time.fromisoformat(self.closes)
        return Calendar(self.zone, opens, closes, frozenset(self.weekdays), self.country, self.subdivision)


class AgreementForm(BaseModel):
    """What is to be promised to a customer for its jobs of a kind."""

    model_config = ConfigDict(extra="forbid")

    customer: Slug
    kind: Annotated[str, Field(max_length=100)]
    size: Annotated[Size | None, Field(description="Left out: every size class.")] = None
    hours: Annotated[float, Field(gt=0, le=_MOST_HOURS, allow_inf_nan=False)] | None = Field(
        description="Within which time; null ends the agreement: what the kind says is promised again."
    )
    calendar: Annotated[CalendarForm | None, Field(description="Count only while it is open; null: by the clock.")] = (
        None
    )
    reason: Annotated[Words, Field(description="Why; goes on the audit.", examples=["agreed in the contract of May"])]


class AgreedBody(BaseModel):
    """What is promised for a size class."""

    seconds: float
    calendar: CalendarBody | None


class AgreementBody(BaseModel):
    """What is agreed with a customer about a kind, by size class; of others what the kind says is promised."""

    customer: str
    kind: str
    promises: dict[str, AgreedBody]


class AgreementList(BaseModel):
    """Every agreement."""

    items: list[AgreementBody]
    next_page_token: None


@dataclass(frozen=True)
class AgreementOffice:
    """Where admins see and make agreements."""

    gate: Gate
    engine: AsyncEngine
    kinds: Kinds

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/admin/agreements`."""
        await self.gate.staff(request, Role.ADMIN)
        async with self.engine.connect() as session:
            slugs = {customer.id: customer.slug for customer in await customers.all_customers(session)}
            found = await agreements.all_agreements(session)
        items: dict[tuple[str, str], dict[str, Any]] = {}
        for (customer_id, kind, size), promise in found.items():
            items.setdefault((slugs[customer_id], kind), {})[size] = promise_view(promise)
        listed = [{"customer": slug, "kind": kind, "promises": found} for (slug, kind), found in sorted(items.items())]
        return answer({"items": listed, "next_page_token": None})

    async def agree(self, request: Request) -> Response:
        """Answer `POST /v1/admin/agreements`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, AgreementForm)
        kind = self.kinds.get(asked.kind)
        if kind is None:
            remedy = f"The kinds are {', '.join(self.kinds)}."
            raise Problem("bad_input", "There is no such kind of job.", field="/kind", remedy=remedy)
        promise = None
        if asked.hours is not None:
            calendar = asked.calendar.calendar() if asked.calendar else None
            promise = promise_from(timedelta(hours=asked.hours), calendar, now())
        wanted = dict.fromkeys([asked.size] if asked.size else Size, promise)
        agreed = await agreements.agree(self.engine, principal, asked.customer, kind, wanted, asked.reason)
        promises = {size: promise_view(one) for size, one in agreed.items()}
        return answer({"customer": asked.customer, "kind": kind.name, "promises": promises})


def add_agreements(router: Router, office: AgreementOffice) -> None:
    """Add the routes."""
    router.operation(
        "GET",
        "/v1/admin/agreements",
        office.list,
        name="listAgreements",
        summary="List what is promised to customers otherwise than kinds say (admin)",
        tag=TAG,
        answers={200: Given("The agreements.", {"application/json": AgreementList})},
    )
    router.operation(
        "POST",
        "/v1/admin/agreements",
        office.agree,
        name="agree",
        summary="Agree with a customer on what is promised for a kind (admin)",
        text="By the clock, or counted only while a calendar is open. In force within seconds, for new jobs; promises "
        "that were given stay. Goes on the audit with what was agreed before.",
        tag=TAG,
        body=AgreementForm,
        answers={200: Given("What is agreed about that kind now.", {"application/json": AgreementBody})},
        problems=[400, 408, 413, 415, 422],
    )
