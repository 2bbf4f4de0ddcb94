"""Who or what cost each minute, over HTTP: the time of ended jobs by lane, customer, cause or day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.diagnosis.sums import By, Spent, spent, tallied_to
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.queries import query_text, query_time, wrong

TAG = "waits"

MOST_DAYS = 31
_USUAL = timedelta(days=6)
_MOST = 200


class SpentBody(BaseModel):
    """How much time jobs took under a key."""

    key: str = Field(description="The lane, customer (slug), cause or day, as `by` says.")
    seconds: float
    waited_s: float = Field(description="All of it but work (`running_normally`).")
    totals: dict[str, float] = Field(description="Seconds by cause, the most first.")


class WaitsBody(BaseModel):
    """Where the time of ended jobs went, on whole days (UTC)."""

    since: date
    until: date = Field(description="The last day.")
    by: By
    tallied_to: datetime = Field(description="Jobs that ended later are not in it yet.")
    items: list[SpentBody] = Field(description=f"Those with the longest waits first, at most {_MOST}.")
    next_page_token: None


@dataclass(frozen=True)
class Ledgers:
    """Shows where the time of jobs went."""

    gate: Gate
    engine: AsyncEngine

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/waits`."""
        await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        by, (first, last) = _by(request), _days(request)
        lane, customer = query_text(request, "lane"), query_text(request, "customer")
        async with self.engine.connect() as session:
            found = await spent(session, by, first, last, _MOST, lane=lane, customer=customer)
            to = await tallied_to(session)
        said = {"since": first, "until": last, "by": by, "tallied_to": to.astimezone(UTC)}
        return answer({**said, "items": [*_views(found)], "next_page_token": None})


def _views(found: Iterable[Spent]) -> Iterable[Mapping[str, Any]]:
    for one in found:
        yield {
            "key": one.key,
            "seconds": sum(one.ms.values()) / 1000,
            "waited_s": one.waited_ms / 1000,
            "totals": {cause: milliseconds / 1000 for cause, milliseconds in one.ms.items()},
        }


def _by(request: Request) -> By:
    named = query_text(request, "by") or By.LANE
    if named not in set(By):
        raise wrong("by", f"by must be one of {', '.join(By)}.", "Correct it, or leave it out for `lane`.")
    return By(named)


def _days(request: Request) -> tuple[date, date]:
    until = (query_time(request, "until") or now()).astimezone(UTC)
    since = (query_time(request, "since") or until - _USUAL).astimezone(UTC)
    if since > until:
        raise wrong("since", "since must not lie behind until.", "Correct one of them, or leave it out.")
    if (until.date() - since.date()).days >= MOST_DAYS:
        raise wrong("since", f"since and until span more than {MOST_DAYS} days.", "Ask for a part of it at a time.")
    return since.date(), until.date()


def add_waits(router: Router, ledgers: Ledgers) -> None:
    """Add the route."""
    moment = {"type": "string", "format": "date-time"}
    router.operation(
        "GET",
        "/v1/waits",
        ledgers.get,
        name="getWaits",
        summary="Who or what cost how much time, by lane, customer, cause or day (support, ops)",
        text="The lives of jobs that have ended, booked on causes as in the account of each, on the days on which the "
        f"time went by. Whole days (UTC), at most {MOST_DAYS} of them.",
        tag=TAG,
        parameters=[
            Parameter("query", "by", "What to add up by.", {"type": "string", "enum": list(By), "default": "lane"}),
            Parameter("query", "since", "A moment of the first day; left out: six days before the last.", moment),
            Parameter("query", "until", "A moment of the last day; left out: today.", moment),
            Parameter("query", "lane", "Only of this lane, as in `normal-small`."),
            Parameter("query", "customer", "Only of this customer (its slug)."),
        ],
        answers={200: Given("The sums.", {"application/json": WaitsBody})},
        problems=[400],
    )
