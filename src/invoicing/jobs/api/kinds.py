"""What can be submitted: kinds, their schemas, what is promised and what is normal."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import TypeAdapter

from invoicing.jobs.api.desk import Desk, tenant_of
from invoicing.jobs.api.schemas import KindDetail, KindList
from invoicing.jobs.kinds import JobKind, Kinds
from invoicing.jobs.model import Correction, Normal, Size
from invoicing.jobs.model.calendars import Promise, calendar_of, span_of
from invoicing.jobs.submission import Agreed, as_usual
from invoicing.kit.db import Session
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.problems import Problem

TAG = "kinds"

Normals = Callable[[Session, str], Awaitable[Mapping[Size, Normal]]]
"""Says how long jobs of a kind take, per size class, as far as that has been learned."""

Corrections = Callable[[str, UUID], Correction | None]
"""Says what was learned about a kind's own estimates, for anybody and for one customer."""


@dataclass(frozen=True)
class Catalogue:
    """Shows the kinds on offer."""

    desk: Desk
    kinds: Kinds
    normals: Normals
    corrections: Corrections
    agreed: Agreed = as_usual

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/kinds`."""
        await self.desk.gate.customer(request)
        return answer({"items": [_brief(kind) for kind in self.kinds.values()], "next_page_token": None})

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/kinds/{kind}`."""
        principal = await self.desk.gate.customer(request)
        kind = self.kinds.get(request.path_params["kind"])
        if kind is None:
            raise no_such_kind(self.kinds)
        async with self.desk.engine.connect() as session:
            normal = await self.normals(session, kind.name)
        tenant = tenant_of(principal)
        promised = {size: self.agreed(kind, tenant, size) for size in Size}
        return answer(_detail(kind, promised, normal, self.corrections(kind.name, tenant)))


def no_such_kind(kinds: Kinds) -> Problem:
    """Say which kinds there are."""
    return Problem("not_found", "There is no such kind.", remedy=f"The kinds are {', '.join(kinds)}.")


def _brief(kind: JobKind) -> dict[str, Any]:
    return {"kind": kind.name, "title": kind.title, "href": f"/v1/kinds/{kind.name}"}


def _detail(
    kind: JobKind,
    promised: Mapping[Size, Promise],
    normal: Mapping[Size, Normal],
    correction: Correction | None,
) -> dict[str, Any]:
    calendars = {size: calendar_of(promise) for size, promise in promised.items()}
    return {
        **_brief(kind),
        "default_priority": kind.default_priority,
        "payload_schema": TypeAdapter(kind.payload).json_schema(),
        "example": dict(kind.example),
        "needs": list(kind.dependencies.values()),
        "promise": {size: span_of(promise).total_seconds() for size, promise in promised.items()},
        "promise_calendar": {size: calendar and calendar.as_json() for size, calendar in calendars.items()},
        "normal": {size: _normal(normal.get(size)) for size in Size},
        "size_model": _size_model(correction),
    }


def _normal(normal: Normal | None) -> dict[str, Any] | None:
    if normal is None:
        return None
    return {
        "p50_s": normal.p50_s,
        "p90_s": normal.p90_s,
        "verdict": normal.verdict,
        "similar_jobs": normal.similar_jobs,
    }


def _size_model(correction: Correction | None) -> dict[str, Any] | None:
    if correction is None:
        return None
    return {
        "jobs": correction.jobs,
        "factor_p05": correction.p05,
        "factor_p50": correction.p50,
        "factor_p95": correction.p95,
        "exponent": correction.exponent,
        "own_jobs": correction.own_jobs,
        "own_factor_p50": correction.own_p50,
    }


def add_kinds(router: Router, catalogue: Catalogue) -> None:
    """Add the routes."""
    router.operation(
        "GET",
        "/v1/kinds",
        catalogue.list,
        name="listKinds",
        summary="List the kinds of jobs",
        tag=TAG,
        answers={200: Given("The kinds.", {"application/json": KindList})},
    )
    router.operation(
        "GET",
        "/v1/kinds/{kind:name}",
        catalogue.get,
        name="getKind",
        summary="Read a kind: schema, example, promise, normal times",
        tag=TAG,
        parameters=[Parameter("path", "kind", "The kind.")],
        answers={200: Given("The kind.", {"application/json": KindDetail})},
        problems=[404],
    )
