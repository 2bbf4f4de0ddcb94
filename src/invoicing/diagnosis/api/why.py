"""Why a job is where it is, over HTTP: every cause that holds, what happens next, and where its time went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel, Field

from invoicing.customers.model import Principal, Role
from invoicing.diagnosis.accounting import Why, why
from invoicing.diagnosis.model.account import Part, totals
from invoicing.diagnosis.model.causes import next_news
from invoicing.diagnosis.model.check import Check
from invoicing.diagnosis.model.life import span_of
from invoicing.diagnosis.words import Audience, tell
from invoicing.jobs import service as ledger
from invoicing.jobs.api.desk import JOB_ID, TAG, Desk, job_id_of, no_such_job
from invoicing.jobs.kinds import Kinds
from invoicing.jobs.model import Job, State
from invoicing.kit.db import Session
from invoicing.kit.http.answers import answer
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.languages import ACCEPT_LANGUAGE, LANGUAGE_HEADERS

MOST_INTERVALS = 1_000
"""Of a longer account the last ones are told one by one, and the rest as a sum."""


class HoldingBody(BaseModel):
    """A cause that holds, with what proves it."""

    code: str
    message: str
    since: datetime | None
    until: datetime | None = Field(description="When it is known to end, or to be dealt with.")
    observed_at: datetime
    next_update_by: datetime | None = Field(description="Null where nothing more comes by itself.")
    next: str = Field(description="What happens next, and when.")
    who: str = Field(description="Who can act, by role.")
    evidence: dict[str, Any]


class IntervalBody(BaseModel):
    """A stretch of the job's life with the one cause that it is booked on."""

    cause: str
    since: datetime
    until: datetime
    seconds: float
    lane: str | None = Field(description="In which lane it was; null where that is not known.")
    evidence: dict[str, Any]


class EarlierBody(BaseModel):
    """What came before the intervals, added up."""

    until: datetime
    seconds: float
    totals: dict[str, float]


class AccountBody(BaseModel):
    """The whole life so far: its seconds by cause add up to it, and its intervals have no gap and no overlap."""

    since: datetime
    until: datetime
    seconds: float
    totals: dict[str, float] = Field(description="Seconds by cause, the most first; `running_normally` is work.")
    earlier: EarlierBody | None = Field(description=f"Where there are more than {MOST_INTERVALS} intervals.")
    intervals: list[IntervalBody]


class CheckBody(BaseModel):
    """What one rule answered."""

    code: str
    answer: Annotated[str, Field(pattern="^(holds|does_not_hold|unknown)$")]
    observed_at: datetime


class WhyBody(BaseModel):
    """Why a job is where it is, and where its time went."""

    id: UUID
    state: State
    observed_at: datetime
    causes: list[HoldingBody] = Field(
        description="All that hold, first the one that the job shows; of a finished job, why it died or was not told."
    )
    account: AccountBody
    checks: list[CheckBody] | None = Field(description="For our staff: every rule that was asked. Else null.")


@dataclass(frozen=True)
class Oracle:
    """Says why."""

    desk: Desk
    kinds: Kinds

    async def get(self, request: Request) -> Response:
        """Answer `GET /v1/jobs/{job_id}/why`."""
        principal = await self.desk.gate.staff(request, Role.CUSTOMER, Role.SUPPORT, Role.OPS)
        job_id, spoken = job_id_of(request), self.desk.spoken(request)
        async with self.desk.engine.connect() as session:
            job = await _visible(session, principal, job_id)
            if job is None:
                raise no_such_job()
            found = await why(session, job, self.kinds)
        news = [by for check in found.causes if (by := next_news(check))]
        if news and job.finished_at is None:
            self.desk.notebook.note(job.id, job.revision, min(news))
        audience = Audience.CUSTOMER if principal.role is Role.CUSTOMER else Audience.STAFF
        headers = {**spoken.headers, "Cache-Control": "private, no-cache"}
        return answer(why_view(job, found, spoken.code, audience), 200, headers)


async def _visible(session: Session, principal: Principal, job_id: UUID) -> Job | None:
    """Read a job: a customer its own, our staff anybody's."""
    if principal.role is Role.CUSTOMER:
        return None if principal.customer_id is None else await ledger.get(session, principal.customer_id, job_id)
    return next(iter(await ledger.anybodys(session, [job_id])), None)


def why_view(job: Job, found: Why, language: str, audience: Audience) -> dict[str, Any]:
    """Give every field of an answer; which rules were asked in vain is for our staff alone."""
    checks = [{"code": one.code, "answer": one.answer, "observed_at": one.observed_at} for one in found.checks]
    return {
        "id": job.id,
        "state": job.state,
        "observed_at": _utc(found.now),
        "causes": [_cause(check, language, audience) for check in found.causes],
        "account": account_view(job, found),
        "checks": checks if audience is Audience.STAFF else None,
    }


def account_view(job: Job, found: Why) -> dict[str, Any]:
    """Give an account: what is not listed one by one is added up."""
    begin, end = span_of(job.submitted_at, job.finished_at, found.now)
    before, listed = found.parts[:-MOST_INTERVALS], found.parts[-MOST_INTERVALS:]
    return {
        "since": begin,
        "until": end,
        **_sums(found.parts),
        "earlier": {"until": before[-1].until, **_sums(before)} if before else None,
        "intervals": [
            {
                "cause": part.cause,
                "since": _utc(part.since),
                "until": _utc(part.until),
                "seconds": part.ms / 1000,
                "lane": part.lane,
                "evidence": part.evidence,
            }
            for part in listed
        ],
    }


def _sums(parts: Sequence[Part]) -> Mapping[str, Any]:
    by_cause = totals(parts)
    return {
        "seconds": sum(by_cause.values()) / 1000,
        "totals": {cause: milliseconds / 1000 for cause, milliseconds in by_cause.items()},
    }


def _cause(check: Check, language: str, audience: Audience) -> dict[str, Any]:
    told = tell(check, language, audience)
    return {
        "code": check.code,
        "message": told.message,
        "since": check.since and _utc(check.since),
        "until": check.until and _utc(check.until),
        "observed_at": _utc(check.observed_at),
        "next_update_by": (by := next_news(check)) and _utc(by),
        "next": told.next,
        "who": told.who,
        "evidence": check.evidence,
    }


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def add_why(router: Router, oracle: Oracle) -> None:
    """Add the route."""
    parameters: Sequence[Parameter] = [JOB_ID, ACCEPT_LANGUAGE]
    router.operation(
        "GET",
        "/v1/jobs/{job_id:name}/why",
        oracle.get,
        name="explainJob",
        summary="Why a job is where it is, and where its time went",
        text="Every cause that is proven now, with its evidence, what happens next and who can act; and the job's "
        "whole life from its submission on, booked on causes to the millisecond. Finished jobs have one too. A "
        "customer asks about its own jobs, support and ops about any.",
        tag=TAG,
        parameters=parameters,
        answers={200: Given("The causes and the account.", {"application/json": WhyBody}, LANGUAGE_HEADERS)},
        problems=[404],
    )
