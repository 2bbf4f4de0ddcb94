"""Fetching result files: whole or in part, streamed from the ledger piece by piece."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.api.desk import JOB_ID, TAG, Desk, job_id_of, no_such_job, tenant_of
from invoicing.jobs.model import Artifact
from invoicing.jobs.store import artifacts, read
from invoicing.kit.http.contract import Given, Parameter, Router
from invoicing.kit.http.headers import Span, if_range_holds, none_match, span_of
from invoicing.kit.problems import Problem

Extent = Sequence[tuple[int, int]]
"""The parts of a file in order: (seq, bytes)."""


@dataclass(frozen=True)
class Archive:
    """Hands out result files."""

    desk: Desk

    async def get(self, request: Request) -> Response:
        """Answer `GET` and `HEAD /v1/jobs/{job_id}/artifacts/{name}`."""
        principal = await self.desk.gate.customer(request, "*/*")
        job_id, name = job_id_of(request), request.path_params["name"]
        artifact, extent = await self._find(tenant_of(principal), job_id, name)
        headers = _headers(artifact)
        if artifact.sha256 and not none_match(request.headers.get("if-none-match"), artifact.sha256):
            self.desk.gate.forgive(principal)
            return Response(None, 304, headers)
        size = sum(length for _, length in extent)
        span = _asked(request, artifact, size)
        status = 200 if span is None else 206
        span = span or Span(0, size)
        headers["Content-Length"] = str(span.length)
        if status == 206:
            headers["Content-Range"] = f"bytes {span.first}-{span.end - 1}/{size}"
        if request.method == "HEAD":
            return Response(None, status, headers, artifact.media_type)
        return StreamingResponse(
            _content(self.desk.engine, job_id, name, extent, span), status, headers, artifact.media_type
        )

    async def _find(self, tenant: UUID, job_id: UUID, name: str) -> tuple[Artifact, Extent]:
        async with self.desk.engine.connect() as session:
            if await read.revision_of(session, tenant, job_id) is None:
                raise no_such_job()
            found = await artifacts.of_jobs(session, [job_id])
            extent = await artifacts.extent(session, job_id, name) if "\0" not in name else []
        for artifact in found.get(job_id, ()):
            if artifact.name == name:
                return artifact, extent
        raise Problem("not_found", "The job has no such artifact.", remedy="GET the job: `artifacts` lists them.")


def _asked(request: Request, artifact: Artifact, size: int) -> Span | None:
    if not if_range_holds(request.headers.get("if-range"), artifact.sha256 or ""):
        return None
    return span_of(request.headers.get("range"), size)


def _headers(artifact: Artifact) -> dict[str, str]:
    shown = quote(artifact.name, safe="")
    headers = {
        "Content-Disposition": f"attachment; filename=\"{shown}\"; filename*=UTF-8''{shown}",
        "Accept-Ranges": "bytes",
        "Complete": "true" if artifact.complete else "false",
    }
    if artifact.sha256:
        return headers | {"ETag": f'"{artifact.sha256}"', "Cache-Control": "private, no-cache"}
    return headers | {"Cache-Control": "no-store"}


async def _content(engine: AsyncEngine, job_id: UUID, name: str, extent: Extent, span: Span) -> AsyncIterator[bytes]:
    """Give the bytes of a span, holding one part at a time and no connection while the reader is slow."""
    begin = 0
    for seq, length in extent:
        first, end = max(span.first - begin, 0), min(span.end - begin, length)
        if first < end:
            async with engine.connect() as session:
                body = await artifacts.part(session, job_id, name, seq)
            if len(body) != length:  # a later attempt wrote it anew: break off rather than mix the two
                raise RuntimeError(f"part {seq} of {name} changed while it was sent")
            yield body[first:end]
        begin += length


def add_artifacts(router: Router, archive: Archive) -> None:
    """Add the routes."""
    headers = {
        "Complete": "`false` while the job still writes the file: these are its finished parts.",
        "Content-Disposition": "The file's name.",
        "Accept-Ranges": "bytes",
    }
    tagged = {"ETag": "The file's sha256; of a complete file only.", **headers}
    binary = {"*/*": {"type": "string", "format": "binary"}}
    for method, name in (("GET", "getArtifact"), ("HEAD", "headArtifact")):
        content = binary if method == "GET" else {}
        router.operation(
            method,
            "/v1/jobs/{job_id:name}/artifacts/{name}",
            archive.get,
            name=name,
            summary="Fetch a result file" if method == "GET" else "Ask about a result file",
            text="One range may be asked for. Of a file that is not complete, the finished parts are sent.",
            tag=TAG,
            parameters=[
                JOB_ID,
                Parameter("path", "name", "The file, as the job's `artifacts` name it."),
                Parameter("header", "Range", "`bytes=0-1023`"),
                Parameter("header", "If-Range", "The ETag; a file that changed is sent whole."),
                Parameter("header", "If-None-Match", "The ETag; an unchanged file gives 304."),
            ],
            answers={
                200: Given("The file.", content, tagged),
                206: Given("A part of it.", content, {"Content-Range": "Which part.", **tagged}),
                304: Given("The file is what the caller has; costs nothing.", {}, tagged),
            },
            problems=[404, 416],
        )
