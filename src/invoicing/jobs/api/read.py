"""Reading one job, again and again or waiting for its change, and cancelling it."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from fastapi import Request, Response

from invoicing.customers.model import Principal
from invoicing.jobs.api.desk import JOB_ID, TAG, Desk, job_headers, job_id_of, no_such_job, tenant_of
from invoicing.jobs.api.schemas import JobBody
from invoicing.jobs.api.submit import JOB_HEADERS
from invoicing.jobs.following import Followers
from invoicing.jobs.model import FINISHED, Job
from invoicing.jobs.store import cancel, read
from invoicing.kit.clock import now
from invoicing.kit.db import transaction
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import LONGEST_WAIT, none_match, wait_preferred
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, Spoken
from invoicing.kit.problems import Problem


@dataclass(frozen=True)
class Reader:
    """Shows one job."""

    desk: Desk
    followers: Followers

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/jobs/{job_id}`."""
        principal = await self.desk.gate.customer(request)
        tenant, job_id = tenant_of(principal), job_id_of(request)
        known, spoken = request.headers.get("if-none-match"), self.desk.spoken(request)
        wait = wait_preferred(request.headers.get("prefer"))
        applied = {} if wait is None else {"Preference-Applied": f"wait={wait.seconds}"}
        if wait:
            await self._until_changed(tenant, job_id, known, wait, spoken)
        return await self._shown(principal, job_id, known, applied, spoken)

    async def _shown(
        self, principal: Principal, job_id: UUID, known: str | None, applied: dict[str, str], spoken: Spoken
    ) -> Response:
        async with self.desk.engine.connect() as session:
            job = await read.get(session, tenant_of(principal), job_id)
            if job is None:
                raise no_such_job()
            view = None
            if none_match(known, spoken.tag(job.revision)):
                (view,) = await self.desk.shown(session, principal, [job], spoken)
        headers = {**job_headers(job, view, now(), spoken), **applied, "Cache-Control": "private, no-cache"}
        if view is not None:
            return answer(view, 200, headers)
        self.desk.gate.forgive(principal)
        return Response(None, 304, headers)

    async def _until_changed(
        self, tenant: UUID, job_id: UUID, known: str | None, wait: timedelta, spoken: Spoken
    ) -> None:
        """Wait until a job is not what the caller knows (or, when it knows nothing, not what it is now)."""
        ends = asyncio.get_running_loop().time() + wait.total_seconds()
        with self.followers.following(job_id) as follower:
            first: int | None = None
            while not self.followers.ending:
                found = await self.followers.look(job_id, tenant, partial(self._revision, tenant, job_id))
                first = found.revision if first is None else first
                changed = none_match(known, spoken.tag(found.revision)) if known else found.revision != first
                left = ends - asyncio.get_running_loop().time()
                if changed or found.finished or left <= 0 or not await follower.wait(left):
                    return

    async def _revision(self, tenant: UUID, job_id: UUID) -> "_Revision":
        async with self.desk.engine.connect() as session:
            found = await read.revision_of(session, tenant, job_id)
        if found is None:
            raise no_such_job()
        return _Revision(found[0], finished=found[1] in FINISHED)

    async def cancel(self, request: Request) -> Response:
        """Answer `POST /v1/jobs/{job_id}:cancel`."""
        principal = await self.desk.gate.customer(request)
        tenant, job_id, spoken = tenant_of(principal), job_id_of(request), self.desk.spoken(request)
        async with transaction(self.desk.engine) as session:
            found = await cancel.cancel(session, tenant, job_id)
            job = await read.get(session, tenant, job_id)
            if found is None or job is None:
                raise no_such_job()
            (view,) = await self.desk.shown(session, principal, [job], spoken)
        _refuse_when_over(job)
        return answer(view, 200, job_headers(job, view, now(), spoken))


@dataclass(frozen=True)
class _Revision:
    revision: int
    finished: bool


def _refuse_when_over(job: Job) -> None:
    if job.cancel_requested_at is None:
        raise Problem(
            "conflict",
            f"The job is {job.state} and can no longer be cancelled.",
            remedy="GET the job for its result; an issued invoice is corrected by a credit note.",
        )


_IF_NONE_MATCH = Parameter("header", "If-None-Match", "ETags that the caller has; one of them still right gives 304.")
_PREFER = Parameter(
    "header",
    "Prefer",
    f"`wait=30`: answer when the job changes, or after so many seconds (at most {LONGEST_WAIT.seconds}).",
)


def add_read(router: Router, reader: Reader) -> None:
    """Add the routes."""
    waited = {"Preference-Applied": "How long the answer waited at most."}
    router.operation(
        "GET",
        "/v1/jobs/{job_id:name}",
        reader.get,
        name="getJob",
        summary="Read a job, or wait for its change",
        tag=TAG,
        parameters=[JOB_ID, _IF_NONE_MATCH, _PREFER, ACCEPT_LANGUAGE],
        answers={
            200: Given("The job.", {"application/json": JobBody}, {**JOB_HEADERS, **waited}),
            304: Given("The job is what the caller knows; costs nothing.", {}, {**JOB_HEADERS, **waited}),
        },
        problems=[404],
    )
    router.operation(
        "POST",
        "/v1/jobs/{job_id:name}:cancel",
        reader.cancel,
        name="cancelJob",
        summary="Cancel a job",
        text="A waiting job ends at once; a running one stops at its next checkpoint, or is killed after its grace.",
        tag=TAG,
        parameters=[JOB_ID, ACCEPT_LANGUAGE],
        answers={200: Given("Cancelled, or asked to stop.", {"application/json": JobBody}, JOB_HEADERS)},
        problems=[404, 409],
    )
