"""Lanes and workers over HTTP: how each is doing, pausing and resuming."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.customers.service import audit
from invoicing.jobs.model import Priority, Size
from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.forms import Sentence, form
from invoicing.kit.moments import Moment
from invoicing.lanes import service
from invoicing.lanes.model import BY_NAME, Pause, Worker
from invoicing.lanes.service import LaneStanding

TAG = "lanes"

_FARTHEST_S = 366 * 86_400.0
"""Beyond a year nothing is predicted."""


class PauseForm(BaseModel):
    """A pause always says until when, and why."""

    model_config = ConfigDict(extra="forbid")

    until: Annotated[Moment, Field(description="The lane goes on by itself then.")]
    reason: Sentence


class PauseBody(BaseModel):
    """A pause in force."""

    until: datetime
    reason: str
    by: str
    since: datetime
    maintenance: UUID | None = Field(description="The maintenance window that it is part of.")


class ForecastBody(BaseModel):
    """When a lane will have drained: predicted work in it and before it over its slots, if nothing more comes."""

    drained_at: datetime
    in_s: float


class LaneStandingBody(BaseModel):
    """How a lane is doing; the forecast is null where nothing waits that could be worked on, or nothing works on it."""

    name: str
    priority: Priority
    size: Size
    waiting: int
    work_s: float = Field(description="Predicted work of what waits (seconds).")
    oldest: datetime | None = Field(description="When the first job was submitted, of those next in their queues.")
    running: int
    released: int = Field(description="On its runway, not yet claimed by a worker.")
    slots: int
    workers: int
    paused: PauseBody | None
    rate: float | None = Field(description="Jobs that succeeded a second, over the last minute.")
    forecast: ForecastBody | None = Field(description="When what waits now will have been done.")


class LaneList(BaseModel):
    """Every lane."""

    items: list[LaneStandingBody]
    next_page_token: None


class WorkerBody(BaseModel):
    """A worker process."""

    id: UUID
    host: str
    pid: int
    build: str
    slots: int
    lanes: list[str]
    kinds: list[str]
    started_at: datetime
    heartbeat_at: datetime = Field(description="Last proof of life of its thread.")
    loop_heartbeat_at: datetime = Field(description="Last proof of life of its event loop.")
    stopping: bool
    alive: bool
    lease_s: float = Field(description="Seconds of silence after which its jobs are given to another.")
    running: list[UUID] = Field(description="The jobs it holds.")


class WorkerList(BaseModel):
    """Every registered worker, the oldest first."""

    items: list[WorkerBody]
    next_page_token: None


@dataclass(frozen=True)
class Tower:
    """Shows lanes and workers to our staff, and lets ops hold a lane."""

    gate: Gate
    engine: AsyncEngine

    async def lanes(self, request: Request) -> Response:
        """Answer `GET /v1/lanes`."""
        await self.gate.staff(request, Role.OPS, Role.SUPPORT)
        async with self.engine.connect() as session:
            found = await service.standings(session)
            moment = now()
        return answer({"items": [lane_view(standing, moment) for standing in found], "next_page_token": None})

    async def workers(self, request: Request) -> Response:
        """Answer `GET /v1/workers`."""
        await self.gate.staff(request, Role.OPS, Role.SUPPORT)
        async with self.engine.connect() as session:
            found, held = await service.workforce(session)
        return answer({"items": [worker_view(one, held.get(one.id, ())) for one in found], "next_page_token": None})

    async def pause(self, request: Request) -> Response:
        """Answer `POST /v1/lanes/{lane}:pause`."""
        principal = await self.gate.staff(request, Role.OPS)
        name = service.lane_named(request.path_params["lane"]).name
        asked = await form(request, PauseForm)
        by = f"{principal.role}:{principal.label}"
        async with transaction(self.engine) as session:
            await service.pause_lane(session, name, asked.until, asked.reason, by)
            await audit(session, principal, "lane.paused", f"lane:{name}", asked.reason, {"until": asked.until})
        return await self._one(name)  # counted after the commit: nothing is released while the pause is written

    async def resume(self, request: Request) -> Response:
        """Answer `POST /v1/lanes/{lane}:resume`."""
        principal = await self.gate.staff(request, Role.OPS)
        name = service.lane_named(request.path_params["lane"]).name
        async with transaction(self.engine) as session:
            resumed = await service.resume_lane(session, name)
            if resumed:
                await audit(session, principal, "lane.resumed", f"lane:{name}")
        return await self._one(name)

    async def _one(self, name: str) -> Response:
        async with self.engine.connect() as session:
            found = await service.standings(session)
        return answer(next(lane_view(standing, now()) for standing in found if standing.lane.name == name))


def lane_view(standing: LaneStanding, moment: datetime) -> dict[str, Any]:
    """Give every field of a lane."""
    lane = standing.lane
    return {
        "name": lane.name,
        "priority": lane.priority,
        "size": lane.size,
        "waiting": standing.waiting,
        "work_s": round(standing.work_s, 3),
        "oldest": standing.oldest and standing.oldest.astimezone(UTC),
        "running": standing.running,
        "released": standing.released,
        "slots": standing.slots,
        "workers": standing.workers,
        "paused": standing.pause and _pause(standing.pause),
        "rate": round(standing.rate, 3),
        "forecast": _forecast(standing.drain_s, moment) if standing.work_s else None,
    }


def _forecast(drain_s: float | None, moment: datetime) -> dict[str, Any] | None:
    if drain_s is None or drain_s > _FARTHEST_S:
        return None
    return {"drained_at": moment + timedelta(seconds=drain_s), "in_s": round(drain_s, 1)}


def _pause(pause: Pause) -> dict[str, Any]:
    until, since = pause.until.astimezone(UTC), pause.since.astimezone(UTC)
    told = {"until": until, "reason": pause.reason, "by": pause.by, "since": since}
    return {**told, "maintenance": pause.maintenance_id}


def worker_view(worker: Worker, running: Any) -> dict[str, Any]:  # noqa: ANN401 - any collection of ids
    """Give every field of a worker."""
    fields = asdict(worker)
    fields["heartbeat_at"], fields["loop_heartbeat_at"] = fields.pop("beat_at"), fields.pop("loop_beat_at")
    return fields | {"running": list(running)}


def add_lanes(router: Router, tower: Tower) -> None:
    """Add the routes."""
    lane = Parameter("path", "lane", "The lane, as in `normal-small`.", {"type": "string", "enum": list(BY_NAME)})
    router.operation(
        "GET",
        "/v1/lanes",
        tower.lanes,
        name="listLanes",
        summary="See how every lane is doing (support, ops)",
        tag=TAG,
        answers={200: Given("The lanes.", {"application/json": LaneList})},
    )
    router.operation(
        "POST",
        "/v1/lanes/{lane:name}:pause",
        tower.pause,
        name="pauseLane",
        summary="Hold a lane until a time (ops)",
        text="Nothing is released from it; what runs goes on. A pause that is in force is replaced. Goes on the audit.",
        tag=TAG,
        parameters=[lane],
        body=PauseForm,
        answers={200: Given("The lane.", {"application/json": LaneStandingBody})},
        problems=[400, 404, 408, 413, 415, 422],
    )
    router.operation(
        "POST",
        "/v1/lanes/{lane:name}:resume",
        tower.resume,
        name="resumeLane",
        summary="Let a lane go on (ops)",
        tag=TAG,
        parameters=[lane],
        answers={200: Given("The lane.", {"application/json": LaneStandingBody})},
        problems=[404],
    )
    router.operation(
        "GET",
        "/v1/workers",
        tower.workers,
        name="listWorkers",
        summary="See who is alive and what each runs (support, ops)",
        tag=TAG,
        answers={200: Given("The workers.", {"application/json": WorkerList})},
    )
