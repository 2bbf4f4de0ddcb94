"""Pausing one customer over HTTP: nothing of it starts, what runs goes on, and others are not touched."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.admin import SLUG, TAG, CustomerPauseBody, pause_view
from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Principal, Role
from invoicing.kit.db import Session
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.forms import Sentence, form
from invoicing.kit.http.queries import query_flag
from invoicing.kit.moments import Moment
from invoicing.lanes import pausing
from invoicing.lanes.pausing import CustomerStanding


class CustomerPauseForm(BaseModel):
    """A pause always says until when, and why."""

    model_config = ConfigDict(extra="forbid")

    until: Annotated[Moment, Field(description="The customer's jobs go on by themselves then.")]
    reason: Annotated[Sentence, Field(description="Why: the customer reads it.", examples=["You asked us to."])]


class CustomerResumeForm(BaseModel):
    """Why a customer goes on before its time."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Sentence, Field(description="Why; goes on the audit.", examples=["Their program is repaired."])]


class CustomerStandingBody(BaseModel):
    """Whether a customer is paused and what it has under way; in a preview, what it would be."""

    dry_run: bool
    customer: str
    paused: CustomerPauseBody | None
    waiting: int = Field(description="Jobs that wait, those about to start among them.")
    running: int = Field(description="Jobs that run: these go on.")


Asked = TypeVar("Asked", CustomerPauseForm, CustomerResumeForm)


@dataclass(frozen=True)
class Brake:
    """Where ops and admins hold one customer."""

    gate: Gate
    engine: AsyncEngine

    async def read(self, request: Request) -> Response:
        """Answer `GET /v1/admin/customers/{customer}`."""
        await self.gate.staff(request, Role.OPS)
        async with self.engine.connect() as session:
            found = await pausing.customer_standing(session, _slug(request))
        return answer(_view(found, dry_run=False))

    async def pause(self, request: Request) -> Response:
        """Answer `POST /v1/admin/customers/{customer}:pause`."""

        async def act(session: Session, who: Principal, slug: str, asked: CustomerPauseForm) -> CustomerStanding:
            return await pausing.pause_customer(session, who, slug, asked.until, asked.reason)

        return await self._act(request, CustomerPauseForm, act)

    async def resume(self, request: Request) -> Response:
        """Answer `POST /v1/admin/customers/{customer}:resume`."""

        async def act(session: Session, who: Principal, slug: str, asked: CustomerResumeForm) -> CustomerStanding:
            return await pausing.resume_customer(session, who, slug, asked.reason)

        return await self._act(request, CustomerResumeForm, act)

    async def _act(
        self,
        request: Request,
        model: type[Asked],
        act: Callable[[Session, Principal, str, Asked], Awaitable[CustomerStanding]],
    ) -> Response:
        """Act, or only look what acting would change."""
        principal = await self.gate.staff(request, Role.OPS)
        slug, preview = _slug(request), query_flag(request, "dry_run")
        asked = await form(request, model)
        async with self.engine.connect() as session:
            found = await act(session, principal, slug, asked)
            await (session.rollback() if preview else session.commit())
        return answer(_view(found, dry_run=preview))


def _slug(request: Request) -> str:
    """Read the slug; what cannot be one names nobody."""
    slug: str = request.path_params["customer"]
    if not re.fullmatch(SLUG, slug):
        raise pausing.no_such_customer(slug)
    return slug


def _view(found: CustomerStanding, *, dry_run: bool) -> dict[str, Any]:
    counted = {"waiting": found.waiting, "running": found.running}
    return {"dry_run": dry_run, "customer": found.slug, "paused": pause_view(found.pause), **counted}


_CUSTOMER = Parameter("path", "customer", "The customer's slug.", {"type": "string", "pattern": SLUG}, example="acme")
_DRY_RUN = Parameter("query", "dry_run", "`true`: only say what would change.", {"type": "boolean", "default": False})
_TEXT = " With `dry_run=true` nothing is changed, and the answer says how many of its jobs wait and run."


def add_brake(router: Router, brake: Brake) -> None:
    """Add the routes."""
    standing = {200: Given("The customer.", {"application/json": CustomerStandingBody})}
    router.operation(
        "GET",
        "/v1/admin/customers/{customer:name}",
        brake.read,
        name="getCustomer",
        summary="See whether a customer is paused, and what it has under way (ops, admin)",
        tag=TAG,
        parameters=[_CUSTOMER],
        answers=standing,
        problems=[404],
    )
    router.operation(
        "POST",
        "/v1/admin/customers/{customer:name}:pause",
        brake.pause,
        name="pauseCustomer",
        summary="Hold a customer until a time (ops, admin)",
        text="Nothing of it starts; what runs goes on, and its new jobs are taken in. A pause that is in force is "
        "replaced. Goes on the audit." + _TEXT,
        tag=TAG,
        parameters=[_CUSTOMER, _DRY_RUN],
        body=CustomerPauseForm,
        answers=standing,
        problems=[400, 404, 408, 413, 415, 422],
    )
    router.operation(
        "POST",
        "/v1/admin/customers/{customer:name}:resume",
        brake.resume,
        name="resumeCustomer",
        summary="Let a customer go on (ops, admin)",
        text="Goes on the audit, where it was paused." + _TEXT,
        tag=TAG,
        parameters=[_CUSTOMER, _DRY_RUN],
        body=CustomerResumeForm,
        answers=standing,
        problems=[400, 404, 408, 413, 415, 422],
    )
