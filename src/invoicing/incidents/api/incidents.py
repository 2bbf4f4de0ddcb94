"""Reading incidents, and acting on them: acknowledge, assign, note, estimate, merge, resolve."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.incidents import service
from invoicing.incidents.api.schemas import (
    AcknowledgeForm,
    AssignForm,
    EstimateForm,
    IncidentActBody,
    IncidentDetail,
    IncidentPage,
    MergeForm,
    NoteForm,
    ResolveForm,
)
from invoicing.incidents.api.views import detail_view, incident_view
from invoicing.incidents.keeping import Tell, nobody
from invoicing.incidents.model.acts import Acknowledge, Assign, Estimate, Merge, Note, Resolve, Wish
from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.incident import IncidentState, Severity
from invoicing.incidents.service import Member, Wanted
from invoicing.kit.cursor import place_of, token_of
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Endpoint, Given, Parameter, Router
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Languages, Spoken
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN, page_size_of, query_text, wrong

TAG = "incidents"

INCIDENT_ID = Parameter("path", "incident_id", "The incident.", {"type": "string", "format": "uuid"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Asked = TypeVar("Asked", AcknowledgeForm, AssignForm, NoteForm, EstimateForm, MergeForm, ResolveForm)


@dataclass(frozen=True)
class ControlRoom:
    """Where our staff look after incidents."""

    gate: Gate
    engine: AsyncEngine
    languages: Languages
    tell: Tell = nobody

    async def list(self, request: Request) -> Response:
        """Answer `GET /v1/incidents`."""
        await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        size, spoken = page_size_of(request), self._spoken(request)
        wanted, before = _place(request)
        async with self.engine.connect() as session:
            found = await service.page(session, wanted, before, size + 1)
        more = None
        if len(found) > size:
            more = token_of(TAG, {"before": str(found[size - 1].id), "wanted": _plain(wanted)})
        items = [incident_view(one, spoken.code) for one in found[:size]]
        return answer({"items": items, "next_page_token": more}, 200, spoken.headers)

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/incidents/{incident_id}`."""
        await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        incident_id, size, spoken = _id_of(request), page_size_of(request), self._spoken(request)
        owner, token = f"{TAG}{incident_id}", request.query_params.get("page_token")
        after = _member_place(place_of(owner, token)) if token else None
        async with self.engine.connect() as session:
            seen = await service.see(session, incident_id, after, size + 1)
        more = None
        if len(seen.members) > size:
            last: Member = seen.members[size - 1]
            more = token_of(owner, {"customer": str(last.customer_id), "job": str(last.job_id)})
        return answer(detail_view(seen, seen.members[:size], more, spoken.code), 200, spoken.headers)

    async def acknowledge(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:acknowledge`."""
        return await self._act(request, AcknowledgeForm, lambda _: Acknowledge())

    async def assign(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:assign`."""
        return await self._act(request, AssignForm, lambda asked: Assign(asked.to))

    async def note(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:note`."""
        return await self._act(request, NoteForm, lambda _: Note())

    async def estimate(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:estimate`."""
        return await self._act(request, EstimateForm, lambda asked: Estimate(asked.at and asked.at.astimezone(UTC)))

    async def merge(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:merge`."""
        return await self._act(request, MergeForm, lambda asked: Merge(asked.into))

    async def resolve(self, request: Request) -> Response:
        """Answer `POST /v1/incidents/{incident_id}:resolve`."""
        return await self._act(request, ResolveForm, lambda _: Resolve())

    async def _act(self, request: Request, model: type[Asked], wished: Callable[[Asked], Wish]) -> Response:
        principal = await self.gate.staff(request, Role.OPS)
        incident_id, spoken = _id_of(request), self._spoken(request)
        sent = request.headers.get("idempotency-key")
        key = None if sent is None else idempotency_key(sent)
        asked = await form(request, model)
        async with transaction(self.engine) as session:
            done = await service.act(session, principal, incident_id, wished(asked), asked.text, key, self.tell)
        headers = {"Idempotency-Replayed": "true"} if done.replayed else {}
        told = {"changed": done.changed, "incident": incident_view(done.incident, spoken.code)}
        return answer(told, 200, {**headers, **spoken.headers})

    def _spoken(self, request: Request) -> Spoken:
        return self.languages.asked_for(request.headers.get("accept-language"))


def _id_of(request: Request) -> UUID:
    text = request.path_params["incident_id"]
    if not _UUID.fullmatch(text):
        raise service.no_such_incident()
    return UUID(text)


def _place(request: Request) -> tuple[Wanted, UUID | None]:
    """Read what a list is of, and where it goes on; a page token carries both."""
    wanted = Wanted(
        _chosen(request, "state", IncidentState),
        _chosen(request, "cause", Cause),
        _chosen(request, "severity", Severity),
    )
    token = request.query_params.get("page_token")
    if not token:
        return wanted, None
    place = place_of(TAG, token)
    if wanted != Wanted() and place["wanted"] != _plain(wanted):
        raise wrong("page_token", "This page_token belongs to another list.", "Send the same filters with it, or none.")
    return Wanted(**place["wanted"]), UUID(place["before"])


def _chosen(request: Request, name: str, known: type[IncidentState | Cause | Severity]) -> Sequence[str] | None:
    """Read a filter: one value, or several with commas between."""
    given = query_text(request, name)
    if given is None:
        return None
    values = given.split(",")
    allowed = [one.value for one in known]
    if any(value not in allowed for value in values):
        raise wrong(name, f"{name} must be of {', '.join(allowed)}.", "Correct it, or leave it out.")
    return values


def _plain(wanted: Wanted) -> dict[str, Any]:
    return {"states": wanted.states, "causes": wanted.causes, "severities": wanted.severities}


def _member_place(place: dict[str, Any]) -> tuple[UUID, UUID]:
    return UUID(place["customer"]), UUID(place["job"])


_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "The same one again when a request is repeated.",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
)

_TEXTS = {
    "acknowledge": "The customers of its jobs see that a person looks after it.",
    "assign": "Whoever is named reads it; nobody is told by that.",
    "note": "It stands on the timeline of the incident, of one that is over too.",
    "estimate": "Each job that the incident touches shows it. A time that is over is refused with 422.",
    "merge": "It is over as an incident of its own; its cause and its jobs count for the other one, which is over when "
    "none of its causes holds any more.",
    "resolve": "Refused with 409 while its cause is seen to hold; incidents are over by themselves when it is gone. "
    "Of `poison`, only jobs that are put under quarantine later open it again.",
}


def _filter(name: str, known: type[IncidentState | Cause | Severity]) -> Parameter:
    return Parameter("query", name, f"One of {', '.join(known)}, or several with commas between.", {"type": "string"})


def add_incidents(router: Router, room: ControlRoom) -> None:
    """Add the routes."""
    filters = [_filter("state", IncidentState), _filter("cause", Cause), _filter("severity", Severity)]
    router.operation(
        "GET",
        "/v1/incidents",
        room.list,
        name="listIncidents",
        summary="List incidents, the newest first (support, ops)",
        text="One incident for a cause and what it concerns, however many jobs it touches.",
        tag=TAG,
        parameters=[*filters, PAGE_SIZE, PAGE_TOKEN, ACCEPT_LANGUAGE],
        answers={200: Given("A page of incidents.", {"application/json": IncidentPage}, LANGUAGE_HEADERS)},
        problems=[400],
    )
    router.operation(
        "GET",
        "/v1/incidents/{incident_id:name}",
        room.get,
        name="getIncident",
        summary="Read an incident, the jobs that it touches, and what to do (support, ops)",
        text="The page size and token are those of the jobs that it touches now.",
        tag=TAG,
        parameters=[INCIDENT_ID, PAGE_SIZE, PAGE_TOKEN, ACCEPT_LANGUAGE],
        answers={200: Given("The incident.", {"application/json": IncidentDetail}, LANGUAGE_HEADERS)},
        problems=[400, 404],
    )
    add = partial(_add, router)
    add("acknowledge", room.acknowledge, "Say that somebody looks after an incident (ops)", AcknowledgeForm)
    add("assign", room.assign, "Put an incident into somebody's hands (ops)", AssignForm)
    add("note", room.note, "Write something down about an incident (ops)", NoteForm)
    add("estimate", room.estimate, "Say when an incident should be over (ops)", EstimateForm)
    add("merge", room.merge, "Go on with an incident as a part of another (ops)", MergeForm)
    add("resolve", room.resolve, "Say that an incident is over (ops)", ResolveForm)


def _add(router: Router, verb: str, endpoint: Endpoint, summary: str, model: type[Any]) -> None:
    router.operation(
        "POST",
        f"/v1/incidents/{{incident_id:name}}:{verb}",
        endpoint,
        name=f"{verb}Incident",
        summary=summary,
        text=f"{_TEXTS[verb]} Goes on its timeline and on the audit.",
        tag=TAG,
        parameters=[INCIDENT_ID, _KEY, ACCEPT_LANGUAGE],
        body=model,
        answers={
            200: Given(
                "What changed.",
                {"application/json": IncidentActBody},
                {
                    "Idempotency-Replayed": "`true`: an earlier request with the same key had done it.",
                    **LANGUAGE_HEADERS,
                },
            )
        },
        problems=[400, 404, 408, 409, 413, 415, 422],
    )
