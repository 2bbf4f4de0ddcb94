"""What our staff hold: the reviews that are open and the jobs that are paused, those over first first."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs import service as ledger
from invoicing.jobs.holding import OpenHold
from invoicing.jobs.model.holds import plain
from invoicing.kit.cursor import place_of, token_of
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Router
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN, page_size_of, wrong

TAG = "support"

_LIST = "holds"


class HoldBody(BaseModel):
    """A job that somebody has to decide about, or that our staff paused."""

    job_id: UUID
    customer: str
    kind: str
    reference: str | None
    cause: str = Field(description="`in_review` or `paused`.")
    owner: str | None = Field(description="Who decides; of a pause null, as `measure`, `above` and `value`.")
    since: datetime
    due: datetime = Field(description="By when it should be decided; of a pause, when it goes on by itself.")
    overdue: bool = Field(description="Whether it should have been decided by now.")
    measure: str | None = Field(description="A currency, or `seconds` of predicted work.")
    above: str | None = Field(description="What is above this is reviewed.")
    value: str | None
    reason: str | None = Field(description="Why it is paused, for our staff; of a review null, as `message` and `by`.")
    message: str | None = Field(description="What its customer reads of that.")
    by: str | None = Field(description="Who paused it.")
    promise_due: datetime


class HoldPage(BaseModel):
    """A page of them."""

    items: list[HoldBody]
    next_page_token: str | None


@dataclass(frozen=True)
class Inbox:
    """Shows what is to be decided, and what is paused."""

    gate: Gate
    engine: AsyncEngine

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/support/holds`."""
        await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        size, token = page_size_of(request), request.query_params.get("page_token")
        after = _place(token) if token else None
        async with self.engine.connect() as session:
            found = await ledger.open_holds(session, after, size + 1)
        last = found[size - 1] if len(found) > size else None
        more = last and token_of(_LIST, {"due": last.due, "job": last.job_id})
        return answer({"items": [_view(one) for one in found[:size]], "next_page_token": more})


def _place(token: str) -> tuple[datetime, UUID]:
    place = place_of(_LIST, token)
    if place.keys() != {"due", "job"}:
        raise wrong("page_token", "This page_token belongs to another list.", "Use next_page_token as it came.")
    return datetime.fromisoformat(place["due"]), UUID(place["job"])


def _view(one: OpenHold) -> dict[str, Any]:
    times = {name: getattr(one, name).astimezone(UTC) for name in ("since", "due", "promise_due")}
    measured = {"above": one.threshold and plain(one.threshold), "value": one.value and plain(one.value)}
    shown = {name: value for name, value in asdict(one).items() if name != "threshold"}
    return {**shown, **times, **measured, "cause": "paused" if one.owner is None else "in_review"}


def add_holds(router: Router, inbox: Inbox) -> None:
    """Add the route."""
    router.operation(
        "GET",
        "/v1/support/holds",
        inbox.list,
        name="listHolds",
        summary="List the open reviews and the paused jobs, those over first first (support, ops)",
        text="`POST /v1/support/jobs/{job_id}:release` and `:reject` decide; `:resume` lets what is paused go on.",
        tag=TAG,
        parameters=[PAGE_SIZE, PAGE_TOKEN],
        answers={200: Given("A page of them.", {"application/json": HoldPage})},
        problems=[400],
    )
