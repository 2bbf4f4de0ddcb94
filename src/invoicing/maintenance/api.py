"""Maintenance windows over HTTP: planned with a preview of whom they touch, listed, ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.forms import Sentence, form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.queries import query_flag
from invoicing.kit.moments import Moment
from invoicing.kit.problems import Problem
from invoicing.lanes.model import BY_NAME
from invoicing.maintenance import service
from invoicing.maintenance.model import Stage, Window, stage_of
from invoicing.maintenance.service import MOST_PROMISES, Planned, Touched, Wish

TAG = "maintenance"

LaneName = Annotated[str, Field(json_schema_extra={"enum": list(BY_NAME)})]


class MaintenanceForm(BaseModel):
    """A window to be planned."""

    model_config = ConfigDict(extra="forbid")

    lanes: Annotated[list[LaneName], Field(max_length=len(BY_NAME), description="Empty: every lane.")] = []
    begins: Annotated[Moment | None, Field(alias="from", description="Left out: at once.")] = None
    ends: Annotated[Moment, Field(alias="until")]
    reason: Annotated[Sentence, Field(description="What is done; customers read it.")]
    internal_reason: Annotated[Sentence, Field(description="For our staff and the audit.")]
    drain: Annotated[bool, Field(description="Pause the lanes; what runs goes on.")] = True
    shift_promises: Annotated[bool, Field(description="Move promises by the window's length, before it begins.")] = True


class EndForm(BaseModel):
    """Why a window is ended."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[Sentence, Field(description="Goes on the audit.")]


class WindowBody(BaseModel):
    """A maintenance window."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    stage: Stage
    begins: datetime = Field(alias="from")
    ends: datetime = Field(alias="until")
    lanes: list[str]
    reason: str
    internal_reason: str
    drain: bool
    shift_promises: bool
    by: str
    created_at: datetime
    announced_at: datetime | None = Field(description="When all whom it touched had been told.")
    begun_at: datetime | None
    ended_at: datetime | None
    shifted: int = Field(description="Promises moved.")


class TouchedBody(BaseModel):
    """A customer whom a window touches."""

    customer: str
    waiting: int
    running: int
    promises: int = Field(description="Of its unfinished jobs that are due after the beginning.")


class PlannedBody(BaseModel):
    """A window, and whom it touches."""

    dry_run: bool
    window: WindowBody
    touches: list[TouchedBody] = Field(
        description=f"Those with the most jobs first, 200 at most; promises are counted up to {MOST_PROMISES:,}."
    )


class WindowList(BaseModel):
    """Windows."""

    items: list[WindowBody]
    next_page_token: None


@dataclass(frozen=True)
class Workshop:
    """Where maintenance is planned."""

    gate: Gate
    engine: AsyncEngine

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/maintenance`."""
        await self.gate.staff(request, Role.OPS, Role.SUPPORT)
        over = query_flag(request, "over")
        async with self.engine.connect() as session:
            found, now = await service.windows(session, over=over)
        return answer({"items": [window_view(one, now) for one in found], "next_page_token": None})

    async def read(self, request: Request) -> Response:
        """Answer `GET /v1/maintenance/{window_id}`."""
        await self.gate.staff(request, Role.OPS, Role.SUPPORT)
        async with self.engine.connect() as session:
            found = await service.look(session, _id(request))
        return answer(_planned(found, dry_run=False))

    async def plan(self, request: Request) -> Response:
        """Answer `POST /v1/maintenance`."""
        principal = await self.gate.staff(request, Role.OPS)
        preview = query_flag(request, "dry_run")
        sent = request.headers.get("idempotency-key")
        key = None if sent is None else idempotency_key(sent)
        asked = await form(request, MaintenanceForm)
        wish = _wish(asked)
        async with self.engine.connect() as session:
            found = await service.plan(session, principal, wish, key)
            await (session.rollback() if preview else session.commit())
        headers = {"Idempotency-Replayed": "true"} if found.replayed else {}
        return answer(_planned(found, dry_run=preview), 200 if preview else 201, headers)

    async def end(self, request: Request) -> Response:
        """Answer `POST /v1/maintenance/{window_id}:end`."""
        principal = await self.gate.staff(request, Role.OPS)
        window_id = _id(request)
        asked = await form(request, EndForm)
        async with transaction(self.engine) as session:
            ended, now = await service.end(session, principal, window_id, asked.reason)
        return answer(window_view(ended, now))


def _wish(asked: MaintenanceForm) -> Wish:
    for name in asked.lanes:
        if name not in BY_NAME:
            remedy = f"The lanes are {', '.join(BY_NAME)}."
            raise Problem("bad_input", f"There is no lane {name!r}.", field="/lanes", remedy=remedy)
    begins = asked.begins and asked.begins.astimezone(UTC)
    words = asked.reason, asked.internal_reason
    return Wish(begins, asked.ends.astimezone(UTC), asked.lanes, *words, asked.drain, asked.shift_promises)


def _id(request: Request) -> UUID:
    try:
        return UUID(request.path_params["window_id"])
    except ValueError:
        remedy = "GET /v1/maintenance lists them."
        raise Problem("not_found", "There is no such maintenance window.", remedy=remedy) from None


def _planned(found: Planned, *, dry_run: bool) -> Mapping[str, Any]:
    touches = [_touched(one) for one in found.touched]
    return {"dry_run": dry_run, "window": window_view(found.window, found.as_of), "touches": touches}


def _touched(one: Touched) -> Mapping[str, Any]:
    return {"customer": one.customer, "waiting": one.waiting, "running": one.running, "promises": one.promises}


def window_view(window: Window, at: datetime) -> Mapping[str, Any]:
    """Give every field of a window."""
    times = {name: getattr(window, name) for name in ("created_at", "announced_at", "begun_at", "ended_at")}
    return {
        "id": window.id,
        "stage": stage_of(window, at),
        "from": window.begins.astimezone(UTC),
        "until": window.ends.astimezone(UTC),
        "lanes": list(window.lanes),
        "reason": window.reason,
        "internal_reason": window.internal_reason,
        "drain": window.drain,
        "shift_promises": window.shift_promises,
        "by": window.by,
        "shifted": window.shifted,
        **{name: moment and moment.astimezone(UTC) for name, moment in times.items()},
    }


_WINDOW = Parameter("path", "window_id", "The window's id.", {"type": "string", "format": "uuid"})
_OVER = Parameter("query", "over", "`true`: those that are over, too.", {"type": "boolean", "default": False})
_DRY_RUN = Parameter("query", "dry_run", "`true`: only say whom it touches.", {"type": "boolean", "default": False})
_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "The same one again when a request is repeated.",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
)


def add_maintenance(router: Router, workshop: Workshop) -> None:
    """Add the routes."""
    router.operation(
        "GET",
        "/v1/maintenance",
        workshop.list,
        name="listMaintenance",
        summary="List maintenance windows (support, ops)",
        tag=TAG,
        parameters=[_OVER],
        answers={200: Given("The windows, the next first.", {"application/json": WindowList})},
        problems=[400],
    )
    router.operation(
        "GET",
        "/v1/maintenance/{window_id:name}",
        workshop.read,
        name="getMaintenance",
        summary="See a maintenance window and whom it touches now (support, ops)",
        tag=TAG,
        parameters=[_WINDOW],
        answers={200: Given("The window.", {"application/json": PlannedBody})},
        problems=[404],
    )
    planned = {"application/json": PlannedBody}
    router.operation(
        "POST",
        "/v1/maintenance",
        workshop.plan,
        name="planMaintenance",
        summary="Plan a maintenance window (ops)",
        text="Customers whom it touches are told at once, promises move from an hour before it begins, lanes drain at "
        "its beginning and go on at its end by themselves. With `dry_run=true` nothing is written, and the answer says "
        "whom it would touch. A request that may be sent twice has an `Idempotency-Key`. Goes on the audit.",
        tag=TAG,
        parameters=[_DRY_RUN, _KEY],
        body=MaintenanceForm,
        answers={
            201: Given("It is planned.", planned, {"Idempotency-Replayed": "`true`: an earlier request planned it."}),
            200: Given("What would be planned.", planned),
        },
        problems=[400, 408, 413, 415, 422],
    )
    router.operation(
        "POST",
        "/v1/maintenance/{window_id:name}:end",
        workshop.end,
        name="endMaintenance",
        summary="End a maintenance window early, or cancel it (ops)",
        text="Before it begins it is cancelled, and whoever was told of it is told so. Promises that were moved stay. "
        "Doing it twice changes nothing. Goes on the audit.",
        tag=TAG,
        parameters=[_WINDOW],
        body=EndForm,
        answers={200: Given("The window.", {"application/json": WindowBody})},
        problems=[400, 404, 408, 413, 415, 422],
    )
