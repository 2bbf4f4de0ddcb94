"""Submitting: the answer leaves after the commit."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from invoicing.customers.model import Principal
from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.api.desk import TAG, Desk, customer_of, job_headers, tenant_of
from invoicing.jobs.api.schemas import JobBody, RefusedBody
from invoicing.jobs.intake import Intake
from invoicing.jobs.model import Accepted, Job, NewJob
from invoicing.jobs.store import read
from invoicing.jobs.submission import (
    Checked,
    Origin,
    Rulings,
    Submissions,
    new_job,
)
from invoicing.jobs.tracing import CALLER, Traces
from invoicing.jobs.view import Newcomer, as_accepted, job_view
from invoicing.kit.clock import now
from invoicing.kit.http.answers import PROBLEM, answer
from invoicing.kit.http.bodies import Body, json_expected, received
from invoicing.kit.http.contract import REFS, Given, Router, Schema
from invoicing.kit.http.headers import IDEMPOTENCY_KEY, idempotency_key
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Spoken
from invoicing.kit.problems import Problem
from invoicing.outbox import service as outbox

TOO_MANY = 429

JOB_HEADERS = {
    "ETag": "The job's revision; in another language than English with its code.",
    **LANGUAGE_HEADERS,
    "Retry-After": "Seconds after which asking again is worth it; on every unfinished job.",
}


@dataclass(frozen=True)
class Reception:
    """Takes requests in: checks, accepts, and shows the job that came of it."""

    desk: Desk
    submissions: Submissions
    acceptor: Acceptor
    intake: Intake
    rulings: Rulings
    newcomer: Newcomer
    largest: int
    outcomes: Counter[str] = field(default_factory=Counter)
    """What became of requests for jobs so far: `accepted`, `replayed`, or the code they were refused with."""
    traces: Traces | None = None

    async def submit(self, request: Request) -> Response:
        """Answer `POST /v1/jobs`."""
        began_ns = time_ns()
        principal = await self.desk.gate.customer(request)
        key = idempotency_key(request.headers.get("idempotency-key"))
        json_expected(request)
        spoken = self.desk.spoken(request)
        async with received(request, self.largest) as body:
            origin = Origin(tenant_of(principal), principal.key_id, key, body.sha256)
            new, accepted = await self.take_in(origin, body)
        self.outcomes["replayed" if accepted.replayed else "accepted"] += 1
        self.trace(request, new, accepted, began_ns)
        if accepted.replayed or accepted.held or new is None:
            return await self._stored(principal, accepted, spoken)
        return self._accepted(principal, as_accepted(new, accepted), spoken)

    def trace(self, request: Request, new: NewJob | None, accepted: Accepted, began_ns: int) -> None:
        """Tell that a job was made, where that is told."""
        if self.traces is not None and new is not None and not accepted.replayed:
            self.traces.request(new, began_ns, request.headers.get(CALLER))

    async def take_in(self, origin: Origin, body: Body) -> tuple[NewJob | None, Accepted]:
        """Check a request and make it durable; one that was accepted before is not refused by what changed since."""
        try:
            return await self._check_and_accept(origin, body)
        except Problem as problem:
            earlier = None if problem.status == TOO_MANY else await self._earlier(origin)  # else it was looked up
            if earlier is None:
                self.outcomes[problem.code] += 1
                raise
            return None, earlier

    async def drafted(self, origin: Origin, body: Body, submissions: Submissions, kind: str) -> NewJob:
        """Check a draft of a kind as a request is checked; gives the job that it would be, without its body."""
        if body.file is None:
            submission = submissions.read(body.whole)
            if not submissions.splits(submission):
                return await self._draft(submissions.check(submission), origin)
        with body.filed() as file:
            verdict = await self.intake.check(file, file.with_name("parts"), draft_of=kind)
        return await self._draft(verdict.of, origin)

    async def _draft(self, checked: Checked, origin: Origin) -> NewJob:
        await self._refuse_unknown_webhook(origin, checked)
        return self._new(checked, origin, b"")

    async def _check_and_accept(self, origin: Origin, body: Body) -> tuple[NewJob | None, Accepted]:
        if body.file is None:
            submission = self.submissions.read(body.whole)
            if not self.submissions.splits(submission):
                checked = self.submissions.check(submission)
                await self._refuse_unknown_webhook(origin, checked)
                new = self._new(checked, origin, body.whole)
                return new, await self.acceptor.accept(new)
        elif earlier := await self._earlier(origin):
            return None, earlier
        else:
            self.acceptor.refuse_when_full(origin.customer_id)
        with body.filed() as file:
            return await self._accept_large(origin, file, file.with_name("parts"))

    async def _accept_large(self, origin: Origin, request: Path, parts: Path) -> tuple[NewJob, Accepted]:
        verdict = await self.intake.check(request, parts)
        await self._refuse_unknown_webhook(origin, verdict.of)
        if not verdict.parts:
            new = self._new(verdict.of, origin, request.read_bytes())  # noqa: ASYNC240 - written this instant: no disk
            return new, await self.acceptor.accept_large(new)
        with parts.open("rb") as file:
            pieces = ((part.items, file.read(part.length)) for part in verdict.parts)
            _, envelope = next(pieces)
            new = self._new(verdict.of, origin, envelope)
            return new, await self.acceptor.accept_large(new, pieces)

    async def _refuse_unknown_webhook(self, origin: Origin, checked: Checked) -> None:
        if checked.webhook is not None and await self.unknown_webhooks(origin.customer_id, {checked.webhook}):
            raise unknown_webhook()

    async def unknown_webhooks(self, customer_id: UUID, named: Collection[str]) -> Collection[str]:
        """Give those of some names (ids or URLs) that are of no webhook of a customer; asks only where any is named."""
        if not named:
            return ()
        async with self.desk.engine.connect() as session:
            return await outbox.unknown(session, customer_id, named)

    async def _earlier(self, origin: Origin) -> Accepted | None:
        return await self.acceptor.earlier(origin.customer_id, origin.idempotency_key, origin.body_hash)

    def _new(self, checked: Checked, origin: Origin, body: bytes) -> NewJob:
        return new_job(checked, origin, self.submissions.kinds[checked.kind], self.rulings, body)

    def shown_new(self, principal: Principal, job: Job, moment: datetime, spoken: Spoken) -> dict[str, Any]:
        """Show a job that was accepted this instant."""
        return job_view(job, customer_of(principal), self.newcomer(job, spoken.code), (), moment)

    def _accepted(self, principal: Principal, job: Job, spoken: Spoken) -> Response:
        moment = now()
        view = self.shown_new(principal, job, moment, spoken)
        return answer(view, 202, {"Location": f"/v1/jobs/{job.id}", **job_headers(job, view, moment, spoken)})

    async def _stored(self, principal: Principal, accepted: Accepted, spoken: Spoken) -> Response:
        async with self.desk.engine.connect() as session:
            job = await read.get(session, tenant_of(principal), accepted.job_id)
            if job is None:
                raise Problem("gone", "The job of this Idempotency-Key has been removed.")
            (view,) = await self.desk.shown(session, principal, [job], spoken)
        headers = {"Location": f"/v1/jobs/{job.id}"} | ({"Idempotency-Replayed": "true"} if accepted.replayed else {})
        return answer(view, 202, headers | job_headers(job, view, now(), spoken))


def unknown_webhook() -> Problem:
    """Refuse a job that would be told to nobody."""
    return Problem(
        "unknown_webhook",
        "You have no webhook with this URL or id.",
        field="/webhook",
        remedy="POST /v1/webhooks adds it (GET lists yours); or leave webhook out, to tell all of them.",
    )


def add_submit(router: Router, reception: Reception) -> None:
    """Add the route."""
    router.operation(
        "POST",
        "/v1/jobs",
        reception.submit,
        name="submitJob",
        summary="Submit a job",
        text="The answer leaves after the job is durable and visible; repeat a request with the same Idempotency-Key.",
        tag=TAG,
        parameters=[IDEMPOTENCY_KEY, ACCEPT_LANGUAGE],
        body=_request_body(reception.submissions, router),
        answers={
            202: Given(
                "Accepted, and kept; or accepted before, with Idempotency-Replayed.",
                {"application/json": JobBody},
                {
                    "Location": "The job's address.",
                    "Idempotency-Replayed": "`true` when an earlier request with this key made the job.",
                    **JOB_HEADERS,
                },
            ),
            TOO_MANY: Given(
                "Problem `rate_limited`: too many requests. `too_much_waiting`: it would wait too long for your own "
                "waiting jobs. `customer_limit`: as many of your jobs wait as may. `overloaded`: there is too much "
                "work for everybody. Of the last three nothing was stored; what was accepted before is never refused.",
                {PROBLEM: RefusedBody},
                {"Retry-After": "Seconds after which it will be taken in, unless more is sent meanwhile."},
            ),
        },
        problems=[400, 408, 409, 410, 413, 415, 422],
    )


def _request_body(submissions: Submissions, router: Router) -> Schema:
    names = {name: model.__name__ for name, model in submissions.models.items()}
    router.models.extend(submissions.models.values())
    members = [{"$ref": REFS.format(model=model)} for model in names.values()]
    mapping = {name: REFS.format(model=model) for name, model in names.items()}
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": members, "discriminator": {"propertyName": "kind", "mapping": mapping}},
                "examples": {
                    kind.name: {"summary": kind.title, "value": {"kind": kind.name, "payload": dict(kind.example)}}
                    for kind in submissions.kinds.values()
                },
            }
        },
    }
