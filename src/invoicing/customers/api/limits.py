"""What each customer may have: requests a second, a share of the slots, jobs that run and that wait."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service
from invoicing.customers.api.admin import TAG, Slug, Words
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Customer, Role
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.http.forms import form
from invoicing.kit.problems import Problem

_MOST_JOBS = 10_000_000

Jobs = Annotated[int, Field(ge=1, le=_MOST_JOBS)]


class LimitsForm(BaseModel):
    """Limits to change; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    customer: Slug
    reason: Annotated[Words, Field(description="Why; goes on the audit.", examples=["agreed in the contract of May"])]
    rate_per_s: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    weight: Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)] | None = None
    max_running: Annotated[Jobs | None, Field(description="null takes the customer's own limit away.")] = None
    max_waiting: Annotated[Jobs | None, Field(description="null takes the customer's own limit away.")] = None

    def changes(self) -> dict[str, float | None]:
        """Give what is to change, by column; raises `Problem` when that is nothing, or null where a number must be."""
        given = {name: getattr(self, name) for name in sorted(self.model_fields_set - {"customer", "reason"})}
        for name in ("burst", "rate_per_s", "weight"):
            if name in given and given[name] is None:
                raise Problem(
                    "bad_input",
                    "This limit cannot be taken away.",
                    field=f"/{name}",
                    remedy="Give a number, or leave it out.",
                )
        if not given:
            raise Problem(
                "bad_input",
                "The request names no limit.",
                field="",
                remedy="Give at least one of rate_per_s, burst, weight, max_running, max_waiting.",
            )
        return given


class LimitsBody(BaseModel):
    """The limits of a customer."""

    customer: str
    rate_per_s: float = Field(description="Requests a second, on average.")
    burst: int = Field(description="Requests at once.")
    weight: float = Field(description="Its share of the slots against the others'; 1 is usual.")
    max_running: int | None = Field(description="Jobs that may run at once; null: as many as there are slots for.")
    max_waiting: int | None = Field(description="Jobs that may wait; null: what the policy of the lanes says.")


class LimitsList(BaseModel):
    """The limits of every customer, the oldest customer first."""

    items: list[LimitsBody]
    next_page_token: None


@dataclass(frozen=True)
class LimitsOffice:
    """Where admins see and change limits."""

    gate: Gate
    engine: AsyncEngine

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/admin/limits`."""
        await self.gate.staff(request, Role.ADMIN)
        async with self.engine.connect() as session:
            found = await service.all_customers(session)
        return answer({"items": [_view(customer) for customer in found], "next_page_token": None})

    async def set(self, request: Request) -> Response:
        """Answer `POST /v1/admin/limits`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, LimitsForm)
        changes = asked.changes()
        async with transaction(self.engine) as session:
            changed = await service.set_limits(session, principal, asked.customer, changes, asked.reason)
        return answer(_view(changed))


def _view(customer: Customer) -> dict[str, Any]:
    return {
        "customer": customer.slug,
        "rate_per_s": customer.rate_per_s,
        "burst": customer.burst,
        "weight": customer.weight,
        "max_running": customer.max_running,
        "max_waiting": customer.max_waiting,
    }


def add_limits(router: Router, office: LimitsOffice) -> None:
    """Add the routes."""
    router.operation(
        "GET",
        "/v1/admin/limits",
        office.list,
        name="listLimits",
        summary="List the limits of every customer (admin)",
        tag=TAG,
        answers={200: Given("The limits.", {"application/json": LimitsList})},
    )
    router.operation(
        "POST",
        "/v1/admin/limits",
        office.set,
        name="setLimits",
        summary="Change limits of a customer (admin)",
        text="What is left out stays as it is. In force within seconds (the rate within half a minute); jobs that "
        "wait or run already are not affected by a lower limit. Goes on the audit with the old and the new values.",
        tag=TAG,
        body=LimitsForm,
        answers={200: Given("The limits.", {"application/json": LimitsBody})},
        problems=[400, 408, 413, 415, 422],
    )
