"""Listing a customer's jobs, newest first, page by page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from invoicing.jobs.api.desk import TAG, Desk, tenant_of
from invoicing.jobs.api.schemas import JobPage
from invoicing.jobs.model import State
from invoicing.jobs.store import read
from invoicing.kit.clock import rfc3339
from invoicing.kit.cursor import place_of, token_of
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS
from invoicing.kit.http.queries import (
    PAGE_SIZE,
    PAGE_TOKEN,
    page_size_of,
    query_text,
    query_time,
    wrong,
)

_STATES = ", ".join(State)


@dataclass(frozen=True)
class Lister:
    """Shows pages of jobs."""

    desk: Desk

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/jobs`."""
        principal = await self.desk.gate.customer(request)
        tenant, spoken = tenant_of(principal), self.desk.spoken(request)
        size, filters, before = page_size_of(request), _filters(request), None
        token = request.query_params.get("page_token")
        if token:
            filters, before = _continued(str(tenant), token, filters)
        async with self.desk.engine.connect() as session:
            found = await read.page(session, tenant, before=before, limit=size + 1, **_as_arguments(filters))
            views = await self.desk.shown(session, principal, found[:size], spoken)
        more = token_of(str(tenant), {**filters, "before": found[size - 1].id}) if len(found) > size else None
        return answer({"items": views, "next_page_token": more}, 200, spoken.headers)


def _filters(request: Request) -> dict[str, Any]:
    since = query_time(request, "since")
    named = {
        "state": _states(request),
        "kind": query_text(request, "kind"),
        "reference": query_text(request, "reference"),
        "since": since and rfc3339(since),
    }
    return {name: value for name, value in named.items() if value}


def _states(request: Request) -> list[str]:
    asked = {text.strip() for given in request.query_params.getlist("state") for text in given.split(",")}
    if not asked <= set(State):
        raise wrong("state", "There is no such state.", f"The states are {_STATES}.")
    return sorted(asked)


def _continued(owner: str, token: str, filters: Mapping[str, Any]) -> tuple[dict[str, Any], UUID]:
    place = place_of(owner, token)
    before = place.pop("before", None)
    if before is None or (filters and filters != place):
        raise wrong(
            "page_token",
            "This page_token belongs to a list with other filters.",
            "Send the same filters with it, or none.",
        )
    return place, UUID(before)


def _as_arguments(filters: Mapping[str, Any]) -> dict[str, Any]:
    since = filters.get("since")
    return {
        "states": tuple(State(state) for state in filters.get("state", ())),
        "kind": filters.get("kind"),
        "reference": filters.get("reference"),
        "since": since and datetime.fromisoformat(since),
    }


def add_list(router: Router, lister: Lister) -> None:
    """Add the route."""
    states = {"type": "array", "items": {"type": "string", "enum": list(State)}}
    router.operation(
        "GET",
        "/v1/jobs",
        lister.list,
        name="listJobs",
        summary="List jobs, newest first",
        tag=TAG,
        parameters=[
            Parameter("query", "state", f"Only jobs in these states: {_STATES}; repeated, or with commas.", states),
            Parameter("query", "kind", "Only jobs of this kind.", {"type": "string", "maxLength": 200}),
            Parameter("query", "reference", "Only jobs with this reference.", {"type": "string", "maxLength": 200}),
            Parameter("query", "since", "Only jobs submitted since.", {"type": "string", "format": "date-time"}),
            PAGE_SIZE,
            PAGE_TOKEN,
            ACCEPT_LANGUAGE,
        ],
        answers={200: Given("A page of jobs.", {"application/json": JobPage}, LANGUAGE_HEADERS)},
        problems=[400],
    )
