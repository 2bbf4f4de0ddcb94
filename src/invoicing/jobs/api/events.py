"""Following a job: its timeline as a page, or live as server-sent events, always read from the table itself."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.api.desk import JOB_ID, TAG, Desk, job_id_of, no_such_job, tenant_of
from invoicing.jobs.api.schemas import EntryPage
from invoicing.jobs.following import Followers
from invoicing.jobs.model import FINISHED, TimelineEntry
from invoicing.jobs.store import read
from invoicing.kit.cursor import place_of, token_of
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import prefers
from invoicing.kit.http.languages import LANGUAGE_HEADERS, Spoken
from invoicing.kit.http.queries import PAGE_SIZE, PAGE_TOKEN, page_size_of, query_whole, wrong
from invoicing.kit.problems import Problem

STREAM = "text/event-stream"

_KEEP_ALIVE_S = 15.0
_AT_ONCE = 200
_RECONNECT_MS = 2_000

Show = Callable[[TimelineEntry], dict[str, Any]]
"""Shows a row of a timeline to one reader."""


@dataclass(frozen=True)
class Teller:
    """Tells what happened to a job."""

    desk: Desk
    followers: Followers

    async def events(self, request: Request) -> Response:
        """Answer `GET /v1/jobs/{job_id}/events`, in the form that Accept names."""
        principal = await self.desk.gate.customer(request, "application/json", STREAM)
        tenant, job_id, spoken = tenant_of(principal), job_id_of(request), self.desk.spoken(request)
        after = query_whole(request, "after") or 0
        seen = _last_event_id(request)
        if prefers(request.headers.get("accept"), STREAM):
            return await self._stream(tenant, job_id, after if seen is None else seen, spoken)
        return await self._page(tenant, job_id, after, request, spoken)

    async def _page(self, tenant: UUID, job_id: UUID, after: int, request: Request, spoken: Spoken) -> Response:
        owner, size = f"{tenant}{job_id}", page_size_of(request)
        token, begun = request.query_params.get("page_token"), after
        if token:
            begun, after = _continued(owner, token, after if "after" in request.query_params else None)
        async with self.desk.engine.connect() as session:
            if await read.revision_of(session, tenant, job_id) is None:
                raise no_such_job()
            found = await read.entries(session, job_id, after=after, limit=size + 1)
        more = None
        if len(found) > size:
            more = token_of(owner, {"after": begun, "seq": found[size - 1].seq})
        items = [self.desk.told(job_id, entry, spoken) for entry in found[:size]]
        return answer({"items": items, "next_page_token": more}, 200, dict(spoken.headers))

    async def _stream(self, tenant: UUID, job_id: UUID, after: int, spoken: Spoken) -> Response:
        async with self.desk.engine.connect() as session:
            found = await read.revision_of(session, tenant, job_id)
        if found is None:
            raise no_such_job()
        revision, state = found
        if state in FINISHED and after >= revision:
            return Response(None, 204)  # tells an EventSource not to come back
        lines = live(self.desk.engine, self.followers, job_id, after, partial(self.desk.told, job_id, spoken=spoken))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **spoken.headers}
        return StreamingResponse(lines, 200, headers, STREAM)


def _continued(owner: str, token: str, asked: int | None) -> tuple[int, int]:
    """Read from a page token where the list began, and where it goes on."""
    place = place_of(owner, token)
    begun, seq = place.get("after"), place.get("seq")
    if not isinstance(begun, int) or not isinstance(seq, int) or asked not in {None, begun}:
        raise wrong("page_token", "This page_token belongs to another list.", "Send the same `after` with it, or none.")
    return begun, seq


def _last_event_id(request: Request) -> int | None:
    given = request.headers.get("last-event-id")
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 10):
        raise Problem(
            "bad_request",
            "Last-Event-ID is none of ours.",
            field="/headers/Last-Event-ID",
            remedy="Send the id of the last event you saw, or leave the header out.",
        )
    return int(given)


async def live(engine: AsyncEngine, followers: Followers, job_id: UUID, after: int, show: Show) -> AsyncIterator[bytes]:
    """Give a job's events from behind `after` until its end, as they happen.

    The place in the timeline is the only memory: a row is told when it is read behind the last one told, so none is
    missed or told twice, however many notifications come.
    """

    async def look(place: int) -> list[TimelineEntry]:
        async with engine.connect() as session:
            return await read.entries(session, job_id, after=place, limit=_AT_ONCE)

    with followers.following(job_id) as follower:
        yield b"retry: %d\n\n" % _RECONNECT_MS
        while not followers.ending:
            found = await followers.look(job_id, after, partial(look, after))
            for entry in found:
                yield event_bytes(entry, show)
                after = entry.seq
            if found and found[-1].state in FINISHED and len(found) < _AT_ONCE:
                return
            if len(found) < _AT_ONCE and not await follower.wait(_KEEP_ALIVE_S):
                yield b": still here\n\n"


def event_bytes(entry: TimelineEntry, show: Show) -> bytes:
    """Write an entry as a server-sent event; JSON has no line breaks, so its data is one line."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.seq, entry.event.encode(), to_json(show(entry)))


def add_events(router: Router, teller: Teller) -> None:
    """Add the route."""
    whole: dict[str, Any] = {"type": "integer"}
    router.operation(
        "GET",
        "/v1/jobs/{job_id:name}/events",
        teller.events,
        name="followJob",
        summary="Read or follow a job's timeline",
        text="With `Accept: text/event-stream` the events come as they happen, until the last one of a finished job. "
        "Reasons are told in the language that `Accept-Language` asks for.",
        tag=TAG,
        parameters=[
            JOB_ID,
            Parameter("query", "after", "Only entries behind this `seq`.", whole),
            Parameter("header", "Last-Event-ID", "The last event seen, as EventSource says.", whole | {"minimum": 0}),
            PAGE_SIZE,
            PAGE_TOKEN,
        ],
        answers={
            200: Given("The timeline.", {"application/json": EntryPage, STREAM: {"type": "string"}}, LANGUAGE_HEADERS),
            204: Given("To a stream's reader that has seen the last event: nothing more will come."),
        },
        problems=[400, 404],
    )
