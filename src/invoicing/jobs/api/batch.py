"""Submitting many at once: a line in, a line out, in order; each is durable before its answer leaves.

The whole body is received before the first line is taken in: an upload that breaks off accepts nothing, and a client
that reads only after it has sent everything does not wait for a server that waits for it.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from time import time_ns
from typing import Any, BinaryIO
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from invoicing.customers.model import Principal
from invoicing.jobs.api.desk import TAG, tenant_of
from invoicing.jobs.api.submit import Reception, unknown_webhook
from invoicing.jobs.model import Accepted, NewJob
from invoicing.jobs.store import read
from invoicing.jobs.submission import Origin, Submissions, new_job
from invoicing.jobs.view import as_accepted
from invoicing.kit.clock import now
from invoicing.kit.http.answers import problem_body
from invoicing.kit.http.bodies import expect, received
from invoicing.kit.http.contract import REFS, Given, Router, Schema
from invoicing.kit.http.edge import problem_of, support_reference
from invoicing.kit.http.headers import IDEMPOTENCY_KEY, idempotency_key
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Spoken
from invoicing.kit.http.lines import Line, count, lines_of, opened
from invoicing.kit.problems import Problem

MEDIA = "application/x-ndjson"
MOST_LINES = 10_000
LONGEST_LINE = 256 * 1024

_TOGETHER = 256
"""Lines under way at once: one group of the acceptor, so that a batch never crowds the others out."""

_LINES_PER_TOKEN = 100
"""How many lines count as one request against the rate."""


@dataclass(frozen=True)
class _Taken:
    """What became of a line: the job it made, the one that was there, or why there is none."""

    line: Line
    new: NewJob | None = None
    accepted: Accepted | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class BatchReception:
    """Takes batches in."""

    reception: Reception
    submissions: Submissions

    async def submit(self, request: Request) -> Response:
        """Answer `POST /v1/jobs:batch`."""
        gate = self.reception.desk.gate
        principal = await gate.customer(request, MEDIA, "application/json")
        key = idempotency_key(request.headers.get("idempotency-key"))
        expect(request, MEDIA, "application/ndjson", "application/jsonl", "application/json")
        async with AsyncExitStack() as stack:
            body = await stack.enter_async_context(received(request, self.reception.largest))
            file = stack.enter_context(opened(body))
            lines = count(file, LONGEST_LINE)
            if lines == 0:
                raise Problem("bad_request", "The batch has no line.", remedy="Send one request a line.")
            if lines > MOST_LINES:
                raise Problem(
                    "too_large",
                    f"A batch has at most {MOST_LINES} lines.",
                    remedy="Send several; nothing was accepted.",
                )
            gate.charge(request, principal, min(lines / _LINES_PER_TOKEN, principal.burst))
            spoken = self.reception.desk.spoken(request)
            answers = self._answers(request, principal, key, file, spoken, stack.pop_all())
        return StreamingResponse(answers, 200, spoken.headers, MEDIA)

    async def _answers(
        self, request: Request, principal: Principal, key: str, file: BinaryIO, spoken: Spoken, stack: AsyncExitStack
    ) -> AsyncIterator[bytes]:
        async with stack:
            lines = lines_of(file, LONGEST_LINE)
            while group := list(islice(lines, _TOGETHER)):
                taken = await self._take_in(request, principal, key, group)
                stored = [job_id for one in taken for job_id in _stored(one)]
                shown = await self._shown(principal, stored, spoken)
                for one in taken:
                    yield to_json(self._answer(request, principal, one, shown, spoken)) + b"\n"

    async def _take_in(
        self, request: Request, principal: Principal, key: str, group: Sequence[Line]
    ) -> Sequence[_Taken]:
        read: list[_Taken] = []
        for line in group:
            await asyncio.sleep(0)  # other requests get their turn between two lines
            try:
                read.append(_Taken(line, self._read(principal, key, line)))
            except Exception as error:  # noqa: BLE001 - a bad line fails alone
                read.append(_Taken(line, problem=problem_of(error, support_reference(request))))
        named = {one.new.webhook for one in read if one.new is not None and one.new.webhook is not None}
        unknown = await self.reception.unknown_webhooks(tenant_of(principal), named)
        return await asyncio.gather(*(self._accepted(request, one, unknown) for one in read))

    async def _accepted(self, request: Request, one: _Taken, unknown: Collection[str]) -> _Taken:
        if one.new is None:
            return one
        began_ns = time_ns()
        try:
            if one.new.webhook is not None and one.new.webhook in unknown:
                return _Taken(one.line, one.new, await self._before(one.new))
            accepted = await self.reception.acceptor.accept(one.new)
            self.reception.trace(request, one.new, accepted, began_ns)
            return _Taken(one.line, one.new, accepted)
        except Exception as error:  # noqa: BLE001 - a line that cannot be stored fails alone
            return _Taken(one.line, problem=problem_of(error, support_reference(request)))

    async def _before(self, new: NewJob) -> Accepted:
        """Find a line accepted before its webhook was removed: what was accepted is not refused by what changed."""
        earlier = await self.reception.acceptor.earlier(new.customer_id, new.idempotency_key, new.body_hash)
        if earlier is None:
            raise unknown_webhook()
        return earlier

    def _read(self, principal: Principal, key: str, line: Line) -> NewJob:
        if line.content is None:
            raise Problem(
                "too_large", f"The line is longer than {LONGEST_LINE} bytes.", remedy="Submit it with POST /v1/jobs."
            )
        submission = self.submissions.read(line.content)
        if self.submissions.splits(submission):
            raise Problem("too_large", "The line has too many items for a batch.", remedy="Use POST /v1/jobs.")
        checked = self.submissions.check(submission)
        own = getattr(submission, "idempotency_key", None)
        digest = hashlib.sha256(line.content).digest()
        origin = Origin(tenant_of(principal), principal.key_id, own or f"{key}:{line.number}", digest)
        kind, desk = self.submissions.kinds[checked.kind], self.reception
        return new_job(checked, origin, kind, desk.rulings, line.content)

    async def _shown(
        self, principal: Principal, job_ids: Sequence[UUID], spoken: Spoken
    ) -> Mapping[UUID, dict[str, Any]]:
        if not job_ids:
            return {}
        desk = self.reception.desk
        async with desk.engine.connect() as session:
            jobs = await read.some(session, tenant_of(principal), job_ids)
            views = await desk.shown(session, principal, jobs, spoken)
            return dict(zip((job.id for job in jobs), views, strict=True))

    def _answer(
        self, request: Request, principal: Principal, one: _Taken, shown: Mapping[UUID, dict[str, Any]], spoken: Spoken
    ) -> dict[str, Any]:
        if one.accepted is None or one.new is None:
            problem = one.problem or Problem("internal", "The line was lost.")
            self.reception.outcomes[problem.code] += 1
            body = problem_body(problem, support_reference(request))
            return {"line": one.line.number, "status": problem.status, "problem": body}
        self.reception.outcomes["replayed" if one.accepted.replayed else "accepted"] += 1
        if _known_there(one.accepted):
            view = shown.get(one.accepted.job_id)
        else:
            view = self.reception.shown_new(principal, as_accepted(one.new, one.accepted), now(), spoken)
        return {"line": one.line.number, "status": 202, "replayed": one.accepted.replayed, "job": view}


def _stored(one: _Taken) -> Sequence[UUID]:
    """Give the job of a line whose standing the ledger alone knows: it was there, or something holds it."""
    return [one.accepted.job_id] if one.accepted is not None and _known_there(one.accepted) else []


def _known_there(accepted: Accepted) -> bool:
    return accepted.replayed or accepted.held


def add_batch(router: Router, batch: BatchReception) -> None:
    """Add the route."""
    router.operation(
        "POST",
        "/v1/jobs:batch",
        batch.submit,
        name="submitBatch",
        summary="Submit up to 10,000 jobs",
        text="NDJSON: a line is a request as `POST /v1/jobs` takes it, with an `idempotency_key` of its own or none "
        "(then the header's, a colon and the line's number). One answer a line, in order: `{line, status: 202, "
        "replayed, job}`, or `{line, status, problem}`; a bad line fails alone, a blank one is passed over, and one "
        "that is not taken in for now (status 429, as with `POST /v1/jobs`) says in `retry_after_s` when it will be. "
        "Nothing is accepted before the whole body has come.",
        tag=TAG,
        parameters=[IDEMPOTENCY_KEY, ACCEPT_LANGUAGE],
        body=_request_body(batch.submissions, router),
        answers={200: Given("A line for each line.", {MEDIA: {"type": "string"}}, LANGUAGE_HEADERS)},
        problems=[400, 408, 413, 415],
    )


def _request_body(submissions: Submissions, router: Router) -> Schema:
    router.models.extend(submissions.models.values())
    names = ", ".join(f"`{REFS.format(model=model.__name__)}`" for model in submissions.models.values())
    lines = "\n".join(
        to_json({"kind": kind.name, "payload": dict(kind.example)}).decode() for kind in submissions.kinds.values()
    )
    schema = {"description": f"Each line is one of {names}.", "example": lines}
    return {"required": True, "content": {MEDIA: {"schema": schema}}}
