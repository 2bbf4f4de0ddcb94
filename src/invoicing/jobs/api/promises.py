"""How many promises were kept, by customer and kind; a customer sees its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs.store.promise_tallies import Share, shares
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.queries import query_text, query_time, wrong

TAG = "promises"

_USUAL = timedelta(days=7)
_MOST = 1_000


class NewsKeptBody(BaseModel):
    """How often there was news of a job by the time that was told (`cause.next_update_by`)."""

    kept: int
    missed: int
    share: float | None = Field(description="Kept / both; null where there were none.")


class KeptBody(BaseModel):
    """How the promises of jobs that ended in that time stood at their end."""

    kept: int
    missed: int = Field(description="Ended late, or died. One that its customer cancelled in time is not counted.")
    share: float | None = Field(description="Kept / both; null where there were none.")
    updates: NewsKeptBody


class CustomerKeptBody(KeptBody):
    """Those of one customer and kind."""

    customer: str
    kind: str


class SharesBody(BaseModel):
    """How many promises were kept, those with the most misses first."""

    since: datetime
    until: datetime
    total: KeptBody
    items: list[CustomerKeptBody]
    next_page_token: None


@dataclass(frozen=True)
class Scoreboard:
    """Shows how many promises were kept."""

    gate: Gate
    engine: AsyncEngine

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/promises`."""
        principal = await self.gate.staff(request, Role.CUSTOMER, Role.SUPPORT, Role.OPS)
        until = query_time(request, "until") or now()
        since = query_time(request, "since") or until - _USUAL
        if since >= until:
            raise wrong("since", "since must lie before until.", "Correct one of them, or leave it out.")
        named = {"customer": query_text(request, "customer"), "kind": query_text(request, "kind")}
        async with self.engine.connect() as session:
            found = await shares(session, since, until, _MOST, customer_id=principal.customer_id, **named)
        items = [{"customer": one.customer, "kind": one.kind, **_view([one])} for one in found]
        total = _view(found)
        return answer({"since": since, "until": until, "total": total, "items": items, "next_page_token": None})


def _view(found: Sequence[Share]) -> dict[str, Any]:
    updates = _share(sum(one.updates_kept for one in found), sum(one.updates_missed for one in found))
    return {**_share(sum(one.kept for one in found), sum(one.missed for one in found)), "updates": updates}


def _share(kept: int, missed: int) -> dict[str, Any]:
    share = round(kept / (kept + missed), 6) if kept + missed else None
    return {"kept": kept, "missed": missed, "share": share}


def add_promises(router: Router, scoreboard: Scoreboard) -> None:
    """Add the route."""
    moment = {"type": "string", "format": "date-time"}
    router.operation(
        "GET",
        "/v1/promises",
        scoreboard.get,
        name="getPromises",
        summary="How many promises were kept, by customer and kind",
        text="Of the jobs that ended in that time, in whole hours, a few seconds late; at most a thousand customers "
        "and kinds, those with the most misses first. A customer sees its own, support and ops see all.",
        tag=TAG,
        parameters=[
            Parameter("query", "since", "From when; left out: the last seven days.", moment),
            Parameter("query", "until", "Until when; left out: now.", moment),
            Parameter("query", "customer", "Only of this customer (its slug)."),
            Parameter("query", "kind", "Only of this kind."),
        ],
        answers={200: Given("The shares.", {"application/json": SharesBody})},
        problems=[400],
    )
