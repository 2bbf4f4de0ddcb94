"""The same route as ours with a bare read by primary key behind it: what everything costs but knowing why."""

from uuid import UUID

from fastapi import Response

from invoicing.app.web import create_app
from invoicing.customers.model import Principal
from invoicing.jobs.api.desk import no_such_job, tenant_of
from invoicing.jobs.api.read import Reader
from invoicing.jobs.store import read
from invoicing.kit.http.answers import answer
from invoicing.kit.http.languages import Spoken
from invoicing.settings import read as settings


async def _bare(
    self: Reader,
    principal: Principal,
    job_id: UUID,
    known: str | None,  # noqa: ARG001 - as the method it stands for
    applied: dict[str, str],
    spoken: Spoken,  # noqa: ARG001 - as above
) -> Response:
    async with self.desk.engine.connect() as session:
        job = await read.get(session, tenant_of(principal), job_id)
    if job is None:
        raise no_such_job()
    return answer({"id": str(job.id), "state": job.state, "revision": job.revision}, 200, applied)


Reader._shown = _bare  # type: ignore[method-assign]  # noqa: SLF001 - this peer is the route without its last step
app = create_app(settings())
