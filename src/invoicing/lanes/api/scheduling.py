"""The scheduling policy over HTTP: what holds, who set it and why, what was learned; changing it live."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Principal, Role
from invoicing.customers.service import audit
from invoicing.jobs.model import Size
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.forms import Sentence, form
from invoicing.kit.http.queries import query_text
from invoicing.kit.problems import Problem
from invoicing.lanes.model import SIZES, Worker, quotas
from invoicing.lanes.model.overrides import as_settings
from invoicing.lanes.policies import Override, Policies, all_policies, change, host_of
from invoicing.lanes.service import all_workers, wake_dispatcher

TAG = "scheduling"

Host = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$", examples=["worker-7"])]


class SchedulingForm(BaseModel):
    """Changes to settings, as a JSON merge patch (RFC 7396): null takes a setting back."""

    model_config = ConfigDict(extra="forbid")

    changes: Annotated[
        dict[str, Any],
        Field(min_length=1, examples=[{"spare": 2, "cutoffs": {"small_s": 0.5}, "turn_s": None}]),
    ]
    reason: Sentence
    host: Annotated[Host | None, Field(description="The host whose workers are meant; left out: the fleet.")] = None


class OverrideBody(BaseModel):
    """What people set: who last, why and when; the audit has all of it."""

    host: str | None = Field(description="Null: the fleet.")
    settings: dict[str, Any]
    by: str
    reason: str
    at: datetime


class ShareBody(BaseModel):
    """A live worker and how many slots jobs of each size class *or larger* may have of it."""

    id: UUID
    host: str
    slots: int
    stopping: bool
    quotas: dict[Size, int]


class SchedulingBody(BaseModel):
    """What holds now."""

    effective: dict[str, Any] = Field(description="Every setting of the fleet, as it holds.")
    hosts: dict[str, dict[str, Any]] = Field(description="Every setting, for the hosts that have some of their own.")
    overrides: list[OverrideBody]
    learned: dict[str, Any] = Field(description="Cut-offs learned from the load; what people set stands above them.")
    workers: list[ShareBody]
    quotas: dict[Size, int] = Field(description="The workers' quotas together.")


@dataclass(frozen=True)
class Helm:
    """Where ops see and change how slots are shared."""

    gate: Gate
    engine: AsyncEngine

    async def show(self, request: Request) -> Response:
        """Answer `GET /v1/scheduling`."""
        await self.gate.staff(request, Role.OPS)
        async with self.engine.connect() as session:
            return answer(_view(await all_policies(session), await all_workers(session)))

    async def change(self, request: Request) -> Response:
        """Answer `PATCH /v1/scheduling`."""
        principal = await self.gate.staff(request, Role.OPS)
        asked = await form(request, SchedulingForm)
        return await self._change(principal, asked.changes, asked.reason, asked.host)

    async def take_back(self, request: Request) -> Response:
        """Answer `DELETE /v1/scheduling/{setting}`."""
        principal = await self.gate.staff(request, Role.OPS)
        reason, host = query_text(request, "reason", 500), query_text(request, "host", 255)
        if reason is None or not reason.strip():
            raise Problem("bad_input", "A reason is needed.", field="/query/reason", remedy="Say why, as ?reason=...")
        changes: Any = None
        for step in reversed(request.path_params["setting"].split(".")):
            changes = {step: changes}
        return await self._change(principal, changes, reason, host)

    async def _change(
        self, principal: Principal, changes: Mapping[str, Any], reason: str, host: str | None
    ) -> Response:
        async with transaction(self.engine) as session:
            by = f"{principal.role}:{principal.label}"
            policies = await change(session, changes, by, reason, host)
            target = "scheduling" if host is None else f"scheduling:{host}"
            await audit(session, principal, "scheduling.changed", target, reason, {"changes": dict(changes)})
            await wake_dispatcher(session)
            workers = await all_workers(session)
        return answer(_view(policies, workers))


def _view(policies: Policies, workers: list[Worker]) -> dict[str, Any]:
    alive = [worker for worker in workers if worker.alive]
    together = Counter(dict.fromkeys(SIZES, 0))
    for worker in alive:
        if not worker.stopping:
            together.update(quotas(worker.slots, policies.of(worker.host)))
    hosts = [host for scope in policies.overrides if (host := host_of(scope)) is not None]
    return {
        "effective": as_settings(policies.fleet),
        "hosts": {host: as_settings(policies.of(host)) | {"slots": policies.slots(host)} for host in hosts},
        "overrides": [_override(one) for one in policies.overrides.values()],
        "learned": policies.learned,
        "workers": [_share(worker, policies) for worker in alive],
        "quotas": together,
    }


def _override(one: Override) -> dict[str, Any]:
    at = one.at.astimezone(UTC)
    return {"host": host_of(one.scope), "settings": one.settings, "by": one.by, "reason": one.reason, "at": at}


def _share(worker: Worker, policies: Policies) -> dict[str, Any]:
    return {
        "id": worker.id,
        "host": worker.host,
        "slots": worker.slots,
        "stopping": worker.stopping,
        "quotas": quotas(worker.slots, policies.of(worker.host)),
    }


def add_scheduling(router: Router, helm: Helm) -> None:
    """Add the routes."""
    shown = {200: Given("What holds now.", {"application/json": SchedulingBody})}
    router.operation(
        "GET",
        "/v1/scheduling",
        helm.show,
        name="getScheduling",
        summary="See the scheduling policy that holds (ops)",
        text="Defaults, what was learned from the load, and what people set; the last stands above the others.",
        tag=TAG,
        answers=shown,
    )
    router.operation(
        "PATCH",
        "/v1/scheduling",
        helm.change,
        name="changeScheduling",
        summary="Change the scheduling policy live (ops)",
        text="Dispatcher and workers go by it within seconds; what runs goes on. Goes on the audit.",
        tag=TAG,
        body=SchedulingForm,
        answers=shown,
        problems=[400, 408, 413, 415, 422],
    )
    router.operation(
        "DELETE",
        "/v1/scheduling/{setting:name}",
        helm.take_back,
        name="takeBackScheduling",
        summary="Take a setting back: what was learned, or the default, holds again (ops)",
        tag=TAG,
        parameters=[
            Parameter("path", "setting", "The setting, its steps joined by dots.", example="cutoffs.small_s"),
            Parameter("query", "reason", "Why.", required=True),
            Parameter("query", "host", "The host that is meant; left out: the fleet."),
        ],
        answers=shown,
        problems=[400, 422],
    )
