"""Adding customers and keys; every act goes on the audit."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers import service
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Customer, CustomerPause, Role
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.http.forms import form
from invoicing.kit.moments import Moment

TAG = "admin"

SLUG = r"^[a-z0-9][a-z0-9-]{0,62}$"
Slug = Annotated[str, Field(pattern=SLUG, max_length=63, examples=["acme"])]
Words = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class CustomerForm(BaseModel):
    """A customer to be added."""

    model_config = ConfigDict(extra="forbid")

    slug: Slug
    name: Words
    rate_per_s: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = 100.0
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000


class CustomerPauseBody(BaseModel):
    """A pause in force: nothing of the customer starts."""

    until: datetime = Field(description="It goes on by itself then.")
    reason: str = Field(description="What the customer reads.")
    by: str
    since: datetime


class CustomerBody(BaseModel):
    """A customer: an id for ever; the rest is data on it."""

    id: UUID
    slug: str
    name: str
    rate_per_s: float = Field(description="Requests a second, on average.")
    burst: int = Field(description="Requests at once.")
    weight: float = Field(description="Its share of the slots against the others'.")
    max_running: int | None = Field(description="Jobs that may run at once; null: as many as there are slots for.")
    max_waiting: int | None = Field(description="Jobs that may wait; null: what the policy of the lanes says.")
    created_at: datetime
    paused: CustomerPauseBody | None


class CustomerList(BaseModel):
    """Every customer, the oldest first."""

    items: list[CustomerBody]
    next_page_token: None


class KeyForm(BaseModel):
    """A key to be made; `customer` (a slug) for the role customer, and for no other."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    label: Annotated[Words, Field(description="Who or what uses it.", examples=["shop"])]
    customer: Slug | None = None
    expires_at: Moment | None = None


class KeyBody(BaseModel):
    """A key; this is the only time that it is shown."""

    key: str
    role: Role
    label: str
    customer: str | None
    expires_at: datetime | None


@dataclass(frozen=True)
class Office:
    """Where admins add customers and keys."""

    gate: Gate
    engine: AsyncEngine

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/admin/customers`."""
        await self.gate.staff(request, Role.ADMIN)
        async with self.engine.connect() as session:
            found, pauses = await service.all_customers(session), await service.active_pauses(session)
        items = [_view(customer, pauses.get(customer.id)) for customer in found]
        return answer({"items": items, "next_page_token": None})

    async def add(self, request: Request) -> Response:
        """Answer `POST /v1/admin/customers`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, CustomerForm)
        async with transaction(self.engine) as session:
            made = await service.add_customer(session, asked.slug, asked.name, asked.rate_per_s, asked.burst)
            await service.audit(session, principal, "customer.added", f"customer:{made.id}", None, {"slug": made.slug})
        return answer(_view(made), 201)

    async def add_key(self, request: Request) -> Response:
        """Answer `POST /v1/admin/keys`."""
        principal = await self.gate.staff(request, Role.ADMIN)
        asked = await form(request, KeyForm)
        async with transaction(self.engine) as session:
            owner = await service.owner_of_key(session, asked.role, asked.customer)
            key = await service.create_key(
                session, asked.role, asked.label, owner.id if owner else None, asked.expires_at
            )
            target = f"customer:{owner.id}" if owner else f"role:{asked.role}"
            await service.audit(session, principal, "key.added", target, None, {"label": asked.label})
        return answer({"key": key, **asked.model_dump()}, 201)


def pause_view(pause: CustomerPause | None) -> dict[str, Any] | None:
    """Give every field of a pause."""
    if pause is None:
        return None
    until, since = pause.until.astimezone(UTC), pause.since.astimezone(UTC)
    return {"until": until, "reason": pause.reason, "by": pause.by, "since": since}


def _view(customer: Customer, pause: CustomerPause | None = None) -> dict[str, Any]:
    return {
        "id": customer.id,
        "slug": customer.slug,
        "name": customer.name,
        "rate_per_s": customer.rate_per_s,
        "burst": customer.burst,
        "weight": customer.weight,
        "max_running": customer.max_running,
        "max_waiting": customer.max_waiting,
        "created_at": customer.created_at.astimezone(UTC),
        "paused": pause_view(pause),
    }


def add_admin(router: Router, office: Office) -> None:
    """Add the routes."""
    router.operation(
        "GET",
        "/v1/admin/customers",
        office.list,
        name="listCustomers",
        summary="List customers (admin)",
        tag=TAG,
        answers={200: Given("The customers.", {"application/json": CustomerList})},
    )
    router.operation(
        "POST",
        "/v1/admin/customers",
        office.add,
        name="addCustomer",
        summary="Add a customer (admin)",
        tag=TAG,
        body=CustomerForm,
        answers={201: Given("The customer.", {"application/json": CustomerBody})},
        problems=[400, 408, 409, 413, 415, 422],
    )
    router.operation(
        "POST",
        "/v1/admin/keys",
        office.add_key,
        name="addKey",
        summary="Make a key (admin)",
        text="The key is in the answer, and nowhere else: only its hash is kept.",
        tag=TAG,
        body=KeyForm,
        answers={201: Given("The key.", {"application/json": KeyBody})},
        problems=[400, 408, 413, 415, 422],
    )
