"""Asking before submitting: what would become of a request if it were sent now; nothing is stored."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from fastapi import Request, Response
from pydantic import BaseModel, Field

from invoicing.jobs.api.desk import customer_of, tenant_of
from invoicing.jobs.api.kinds import TAG, no_such_kind
from invoicing.jobs.api.schemas import CauseBody, EtaBody, LaneBody, NormalBody, PositionBody, PromiseBody
from invoicing.jobs.api.submit import Reception
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import Job, NewJob, Standing
from invoicing.jobs.submission import Draft, Origin, Submissions
from invoicing.jobs.view import job_view
from invoicing.kit.db import Session
from invoicing.kit.http.answers import answer
from invoicing.kit.http.bodies import json_expected, received
from invoicing.kit.http.contract import REFS, Given, Parameter, Router, Schema
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Spoken
from invoicing.kit.problems import Problem


class Supposer(Protocol):
    """Says how a job would stand if it were accepted now, with the row that it would have; writes nothing."""

    def __call__(self, session: Session, new: NewJob, /, *, language: str = ...) -> Awaitable[tuple[Job, Standing]]: ...


class Foreteller(Protocol):
    """Says why a job would not be taken in now; None: it would be."""

    def __call__(self, job: NewJob, /) -> Awaitable[Problem | None]: ...


class DoorBody(BaseModel):
    """Whether the request would be taken in now."""

    accepted: bool
    code: str | None = Field(description="Of the problem that it would be answered with.")
    message: str | None
    retry_after_s: int | None = Field(description="When it would be taken in, unless more is sent meanwhile.")


class EstimateBody(BaseModel):
    """What would become of a request; the fields of a job, as they would be."""

    kind: str
    lane: LaneBody
    estimated_s: float = Field(description="Seconds of work, as the kind estimates.")
    predicted_s: float = Field(description="The same, corrected by what such jobs took; decides the size class.")
    admission: DoorBody
    position: PositionBody | None
    eta: EtaBody | None
    normal: NormalBody
    promise: PromiseBody
    cause: CauseBody = Field(description="What it would wait for, were it accepted.")
    observed_at: datetime


class Turns:
    """One at a time, with rests as long as the work before: behind a long backlog, placing a job takes a while.

    Who waits for a turn holds no connection.
    """

    def __init__(self) -> None:
        """Let the first one in at once."""
        self._lock = asyncio.Lock()
        self._rested_at = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold the turn for the block."""
        async with self._lock:
            await asyncio.sleep(self._rested_at - time.monotonic())
            began = time.monotonic()
            yield
            ended = time.monotonic()
            self._rested_at = ended + (ended - began)


@dataclass(frozen=True)
class Estimator:
    """Tells what would become of a request, by the code that takes requests in."""

    reception: Reception
    kinds: Kinds
    suppose: Supposer
    foretell: Foreteller
    drafts: Mapping[str, Submissions]
    turns: Turns = field(default_factory=Turns)

    async def estimate(self, request: Request) -> Response:
        """Answer `POST /v1/kinds/{kind}:estimate`."""
        desk = self.reception.desk
        principal = await desk.gate.customer(request)
        kind = self.kinds.get(request.path_params["kind"])
        if kind is None:
            raise no_such_kind(self.kinds)
        json_expected(request)
        spoken = desk.spoken(request)
        async with received(request, self.reception.largest) as body:
            origin = Origin(tenant_of(principal), principal.key_id, "", body.sha256)
            new = await self.reception.drafted(origin, body, self.drafts[kind.name], kind.name)
        refused = await self.foretell(new)
        async with self.turns.turn(), desk.engine.connect() as session:
            job, standing = await self.suppose(session, new, language=spoken.code)
        view = job_view(job, customer_of(principal), standing, (), job.submitted_at)
        return answer(_view(view, job, refused), 200, _headers(refused, spoken))


def drafts_of(kinds: Kinds) -> Mapping[str, Submissions]:
    """Build a reader of drafts for each kind."""
    return {kind.name: Submissions({kind.name: kind}, Draft) for kind in kinds.values()}


_AS_A_JOB = ("kind", "lane", "position", "eta", "normal", "promise", "cause")


def _view(view: Mapping[str, Any], job: Job, refused: Problem | None) -> dict[str, Any]:
    return {
        **{name: view[name] for name in _AS_A_JOB},
        "estimated_s": job.estimated_s,
        "predicted_s": job.predicted_s,
        "admission": {
            "accepted": refused is None,
            "code": refused and refused.code,
            "message": refused and refused.detail,
            "retry_after_s": refused and refused.facts["retry_after_s"],
        },
        "observed_at": job.submitted_at.astimezone(UTC),
    }


def _headers(refused: Problem | None, spoken: Spoken) -> dict[str, str]:
    return {**spoken.headers, **(refused.headers if refused else {}), "Cache-Control": "private, no-store"}


def add_estimate(router: Router, estimator: Estimator) -> None:
    """Add the route."""
    router.operation(
        "POST",
        "/v1/kinds/{kind:name}:estimate",
        estimator.estimate,
        name="estimateJob",
        summary="Ask what would become of a request: size, position, end, promise, admission",
        text="Send what you would submit; `kind` may be left out. It is checked as a request is and nothing is stored. "
        "A request that would be refused now is answered 200 too, with the reason in `admission`.",
        tag=TAG,
        parameters=[Parameter("path", "kind", "The kind."), ACCEPT_LANGUAGE],
        body=_request_body(estimator, router),
        answers={
            200: Given(
                "What would become of it, as things are.",
                {"application/json": EstimateBody},
                {**LANGUAGE_HEADERS, "Retry-After": "Seconds after which it will be taken in, where it would not be."},
            )
        },
        problems=[400, 404, 408, 413, 415, 422],
    )


def _request_body(estimator: Estimator, router: Router) -> Schema:
    models = [model for drafts in estimator.drafts.values() for model in drafts.models.values()]
    router.models.extend(models)
    schema = {"anyOf": [{"$ref": REFS.format(model=model.__name__)} for model in models]}
    examples = {
        kind.name: {"summary": kind.title, "value": {"payload": dict(kind.example)}}
        for kind in estimator.kinds.values()
    }
    return {"required": True, "content": {"application/json": {"schema": schema, "examples": examples}}}
