"""What every route about jobs works with: the gate, the ledger, and how a job is shown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.api.gate import Gate
from invoicing.customers.model import Principal
from invoicing.jobs import promising
from invoicing.jobs.model import FINISHED, Artifact, Event, Job, Standing, TimelineEntry
from invoicing.jobs.noting import Notebook
from invoicing.jobs.store import artifacts
from invoicing.jobs.view import UNKNOWN, Explainer, Retell, entry_view, history_in, job_view, pause_before_asking
from invoicing.kit.clock import now
from invoicing.kit.db import Session
from invoicing.kit.http.contract import Parameter
from invoicing.kit.http.languages import Languages, Spoken
from invoicing.kit.problems import Problem

TAG = "jobs"

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

JOB_ID = Parameter("path", "job_id", "The job.", {"type": "string", "format": "uuid"})


@dataclass(frozen=True)
class Desk:
    """What the routes share."""

    gate: Gate
    engine: AsyncEngine
    explain: Explainer
    languages: Languages
    retell: Retell
    notebook: Notebook

    def spoken(self, request: Request) -> Spoken:
        """Choose the language of an answer."""
        return self.languages.asked_for(request.headers.get("accept-language"))

    async def shown(
        self, session: Session, principal: Principal, jobs: Sequence[Job], spoken: Spoken
    ) -> list[dict[str, Any]]:
        """Show jobs with what is known of them and their result files."""
        standings: Mapping[UUID, Standing] = await self.explain(session, jobs, language=spoken.code) if jobs else {}
        begun = [job.id for job in jobs if job.attempt > 0]
        files: Mapping[UUID, Sequence[Artifact]] = await artifacts.of_jobs(session, begun) if begun else {}
        promises = await promising.history(session, jobs)
        customer, moment = customer_of(principal), now()
        for job in jobs:
            self._note(job, standings.get(job.id, UNKNOWN))
        return [
            job_view(
                job,
                customer,
                standings.get(job.id, UNKNOWN),
                files.get(job.id, ()),
                moment,
                history_in(promises.get(job.id, ()), self.retell, spoken.code),
            )
            for job in jobs
        ]

    def _note(self, job: Job, standing: Standing) -> None:
        """Remember what the reader is told this moment: by when there will be news."""
        if job.state not in FINISHED and standing.cause and standing.cause.next_update_by:
            self.notebook.note(job.id, job.revision, standing.cause.next_update_by)

    def told(self, job_id: UUID, entry: TimelineEntry, spoken: Spoken) -> dict[str, Any]:
        """Show a row of a job's timeline; an update names the time of the next."""
        if entry.event is Event.UPDATE:
            self.notebook.note(job_id, entry.seq, datetime.fromisoformat(entry.data["next_update_by"]))
        return entry_view(entry, self.retell, spoken.code)


def customer_of(principal: Principal) -> str:
    """Give the slug of the customer that a key acts for."""
    return principal.customer or ""


def tenant_of(principal: Principal) -> UUID:
    """Give the id of the customer that a key acts for."""
    if principal.customer_id is None:
        raise ValueError("the gate lets only customers' keys through")
    return principal.customer_id


def job_id_of(request: Request) -> UUID:
    """Read the job's id from the path; what is no id is nobody's job."""
    text = request.path_params["job_id"]
    if not _UUID.fullmatch(text):
        raise no_such_job()
    return UUID(text)


def no_such_job() -> Problem:
    """Say that there is no such job: not at all, or not of this customer; the answer does not tell which."""
    return Problem("not_found", "There is no such job.", remedy="GET /v1/jobs lists your jobs.")


def job_headers(job: Job, view: Mapping[str, Any] | None, moment: datetime, spoken: Spoken) -> dict[str, str]:
    """Give the headers of an answer that is one job: revision, language, when to ask again; a 304 has no view."""
    headers = {"ETag": f'"{spoken.tag(job.revision)}"', **spoken.headers}
    if job.state not in FINISHED:
        eta = view["eta"] if view else None
        headers["Retry-After"] = str(pause_before_asking(job, eta and eta["likely"], moment))
    return headers
