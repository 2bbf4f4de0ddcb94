"""Acts of our staff on one job over HTTP: with a preview, a reason, and an answer that shows before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Role
from invoicing.jobs import promising
from invoicing.jobs import service as ledger
from invoicing.jobs.api.desk import JOB_ID, job_id_of
from invoicing.jobs.api.schemas import EtaBody, JobBody, LaneBody, PositionBody
from invoicing.jobs.model import FINISHED, Eta, Job, Priority, PromiseChange, Size, Standing, State
from invoicing.jobs.model.calendars import Calendar
from invoicing.jobs.view import Explainer, Retell, history_in, job_view, standing_in
from invoicing.kit.clock import now
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.forms import form
from invoicing.kit.http.headers import idempotency_key
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS, Languages
from invoicing.kit.http.queries import query_flag
from invoicing.kit.moments import Moment
from invoicing.lanes.acting import (
    Cancel,
    Done,
    Expedite,
    Move,
    Pause,
    Promise,
    Reject,
    Release,
    Resume,
    Retry,
    Seen,
    Wish,
    act,
    refuse_pause,
    refuse_promise,
)

TAG = "support"

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
        description="Why; our staff read it, customers do not.",
        examples=["The customer's own deadline is at noon."],
    ),
]


class ActForm(BaseModel):
    """What every act needs."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class MoveForm(BaseModel):
    """Where a job is to wait; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    priority: Priority | None = None
    size: Size | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> "MoveForm":
        if self.priority is None and self.size is None:
            raise ValueError("give priority, size, or both")
        return self


class PromiseForm(BaseModel):
    """The time that is promised from now on."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    due: Moment


class RejectForm(BaseModel):
    """Why a job may not run: for our staff, and for its customer."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    message: Annotated[
        str,
        Field(
            min_length=1,
            max_length=500,
            pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
            description="What its customer reads.",
            examples=["The amount does not fit your contract."],
        ),
    ]


class JobPauseForm(BaseModel):
    """Until when a job is stopped, and why: for our staff, and for its customer."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    until: Annotated[Moment, Field(description="It goes on by itself then; at most 31 days from now.")]
    message: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=500,
            pattern=r"^[^\x00]*[^\s\x00][^\x00]*$",
            description="What its customer reads beside the time; left out: nothing.",
            examples=["You asked us to wait for the new address."],
        ),
    ] = None


Asked = TypeVar("Asked", ActForm, MoveForm, PromiseForm, RejectForm, JobPauseForm)


class StandingBody(BaseModel):
    """Where a job stands."""

    state: State
    lane: LaneBody
    position: PositionBody | None
    eta: EtaBody | None
    expedited_at: datetime | None = Field(description="Since when it goes before the fair order.")
    promise_due: datetime


class ActBody(BaseModel):
    """What an act changed, or (in a preview) would change."""

    dry_run: bool
    changed: bool = Field(description="Whether anything is otherwise than before: doing it twice changes nothing.")
    before: StandingBody
    after: StandingBody
    job: JobBody


@dataclass(frozen=True)
class Bench:
    """Where our staff act on jobs."""

    gate: Gate
    engine: AsyncEngine
    explain: Explainer
    """Must tell positions as the transaction sees them."""
    languages: Languages
    calendar: Callable[[Job], Calendar | None]
    """Says by which calendar a job's promise is counted."""
    retell: Retell

    async def expedite(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:expedite`."""
        return await self._act(request, ActForm, lambda _: Expedite())

    async def retry(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:retry`."""
        return await self._act(request, ActForm, lambda _: Retry())

    async def cancel(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:cancel`."""
        return await self._act(request, ActForm, lambda _: Cancel())

    async def move(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:move`."""
        return await self._act(request, MoveForm, lambda asked: Move(asked.priority, asked.size))

    async def promise(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:promise`."""
        return await self._act(request, PromiseForm, lambda asked: Promise(asked.due.astimezone(UTC)))

    async def release(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:release`."""
        return await self._act(request, ActForm, lambda _: Release())

    async def reject(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:reject`."""
        return await self._act(request, RejectForm, lambda asked: Reject(asked.message))

    async def pause(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:pause`."""
        return await self._act(request, JobPauseForm, lambda asked: Pause(asked.until.astimezone(UTC), asked.message))

    async def resume(self, request: Request) -> Response:
        """Answer `POST /v1/support/jobs/{job_id}:resume`."""
        return await self._act(request, ActForm, lambda _: Resume())

    async def _act(self, request: Request, model: type[Asked], wished: Callable[[Asked], Wish]) -> Response:
        """Act, or only look what acting would change."""
        principal = await self.gate.staff(request, Role.SUPPORT, Role.OPS)
        job_id, preview = job_id_of(request), query_flag(request, "dry_run")
        spoken = self.languages.asked_for(request.headers.get("accept-language"))
        sent = request.headers.get("idempotency-key")
        key = None if sent is None else idempotency_key(sent)
        asked = await form(request, model)
        wish = wished(asked)
        async with self.engine.connect() as session:
            job = await ledger.found(session, job_id)
            if job is not None:
                self._refuse_times(job, wish)
            done = await act(session, principal, job, wish, asked.reason, self.explain, key)
            told = await promising.history(session, [done.after.job])
            await (session.rollback() if preview else session.commit())
        headers = {"Idempotency-Replayed": "true"} if done.replayed else {}
        history = history_in(told.get(job_id, ()), self.retell, spoken.code)
        standing = standing_in(done.after.standing, self.retell, spoken.code)
        return answer(_view(done, standing, history, preview=preview), 200, {**headers, **spoken.headers})

    def _refuse_times(self, job: Job, wish: Wish) -> None:
        """Raise `Problem` where a wish names a time that cannot be."""
        match wish:
            case Promise(due):
                refuse_promise(due, self.calendar(job), now())
            case Pause(until):
                refuse_pause(until, now())
            case _:
                return


def _view(done: Done, standing: Standing, told: Sequence[PromiseChange], *, preview: bool) -> dict[str, Any]:
    job = job_view(done.after.job, done.customer, standing, (), now(), told)
    before, after = _standing(done.before), _standing(done.after)
    return {"dry_run": preview, "changed": done.changed, "before": before, "after": after, "job": job}


def _standing(seen: Seen) -> Mapping[str, Any]:
    job, standing = seen.job, seen.standing
    unfinished = job.state not in FINISHED
    return {
        "state": job.state,
        "lane": {"priority": job.priority, "size": job.size},
        "position": {"ahead": standing.ahead} if unfinished and standing.ahead is not None else None,
        "eta": _eta(standing.eta) if unfinished and standing.eta is not None else None,
        "expedited_at": job.expedited_at and job.expedited_at.astimezone(UTC),
        "promise_due": job.promise_due.astimezone(UTC),
    }


def _eta(eta: Eta) -> Mapping[str, Any]:
    return {
        "earliest": eta.earliest.astimezone(UTC),
        "likely": eta.likely.astimezone(UTC),
        "latest": eta.latest.astimezone(UTC),
        "confidence": eta.confidence,
        "similar_jobs": eta.similar_jobs,
    }


_ONCE = (
    " A request that may be sent twice has an `Idempotency-Key`; with `dry_run=true` nothing is changed, and the "
    "answer says what would be. Goes on the job's timeline (customers see the role, not the person or the reason) and "
    "on the audit."
)

_TEXTS = {
    "expedite": "It starts as soon as its size class has a slot, before the fair order; its customer is charged for it "
    "all the same. A job that gave way and is expedited goes on first. One that runs is refused with 409.",
    "move": "A job that waits takes its place in the other lane by when it was submitted. What is on the runway comes "
    "back from it. A job that runs is refused with 409: it moves by itself when it outlives its class.",
    "retry": "A dead job begins anew, with all the attempts of its kind and from its last checkpoint; workers that "
    "died on it (`poison`) are forgotten. One that waits for its next attempt is due at once.",
    "promise": "The customer is told (`job.promise_moved`), with the time that is expected now and the proven cause. "
    "A time that is over, or in which nobody works where the promise is in business hours, is refused with 422 and the "
    "next open time; a finished job with 409.",
    "release": "A job in review joins its lane and waits from now on; where its customer's quota is used up it waits "
    "for a place first. One that is not in review is refused with 409.",
    "reject": "A job in review ends as dead, with the error `review_rejected` and the message; it is not tried again. "
    "One that is not in review is refused with 409.",
    "pause": "A job that waits, or lies ready for a worker, does not start until then; it keeps its place in the fair "
    "order. Its customer reads until when, the message, and that our staff did it; the reason is for our staff. One "
    "that is paused is paused until the new time. One that runs, is in review, waits for its quota, or has ended is "
    "refused with 409; a time that is over, or farther than 31 days, with 422.",
    "resume": "A paused job goes on in its place. One that is not paused is refused with 409.",
    "cancel": "A waiting job ends at once; a running one stops at its next checkpoint, or is killed after its grace.",
}

_DRY_RUN = Parameter("query", "dry_run", "`true`: only say what would change.", {"type": "boolean", "default": False})
_KEY = Parameter(
    "header",
    "Idempotency-Key",
    "The same one again when a request is repeated.",
    {"type": "string", "pattern": "^[!-~]{1,255}$", "minLength": 1, "maxLength": 255},
)


def add_support(router: Router, bench: Bench) -> None:
    """Add the routes."""
    add = partial(_add, router)
    add("expedite", bench.expedite, "Let a waiting job start next (support, ops)", ActForm)
    add("move", bench.move, "Move a waiting job to another lane (support, ops)", MoveForm)
    add("retry", bench.retry, "Have a job tried again now (support, ops)", ActForm)
    add("promise", bench.promise, "Promise another time for a job (support, ops)", PromiseForm)
    add("release", bench.release, "Let a job go that is in review (support, ops)", ActForm)
    add("reject", bench.reject, "Reject a job that is in review (support, ops)", RejectForm)
    add("pause", bench.pause, "Stop a waiting job until a time (support, ops)", JobPauseForm)
    add("resume", bench.resume, "Let a paused job go on (support, ops)", ActForm)
    add("cancel", bench.cancel, "Cancel a job (support, ops)", ActForm)


def _add(router: Router, verb: str, endpoint: Any, summary: str, model: type[BaseModel]) -> None:  # noqa: ANN401 - an endpoint
    router.operation(
        "POST",
        f"/v1/support/jobs/{{job_id:name}}:{verb}",
        endpoint,
        name=f"{verb}JobForCustomer",
        summary=summary,
        text=_TEXTS[verb] + _ONCE,
        tag=TAG,
        parameters=[JOB_ID, _DRY_RUN, _KEY, ACCEPT_LANGUAGE],
        body=model,
        answers={
            200: Given(
                "What changed.",
                {"application/json": ActBody},
                {
                    "Idempotency-Replayed": "`true`: an earlier request with the same key had done it.",
                    **LANGUAGE_HEADERS,
                },
            )
        },
        problems=[400, 404, 408, 409, 413, 415, 422],
    )
