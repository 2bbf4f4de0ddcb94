"""Result files: written in parts as the work goes on, read in ranges."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from sqlalchemy import func, select, text

from invoicing.jobs.model import Artifact
from invoicing.jobs.tables import artifact_parts, artifacts
from invoicing.kit.db import Session

_PART = text("""
WITH file AS (
    INSERT INTO artifacts (job_id, name, media_type) VALUES (:job_id, :name, :media_type)
    ON CONFLICT (job_id, name) DO UPDATE SET media_type = excluded.media_type WHERE NOT artifacts.complete
    RETURNING job_id, name
)
INSERT INTO artifact_parts (job_id, name, seq, bytes, body)
SELECT job_id, name, CAST(:seq AS integer), CAST(:bytes AS integer), CAST(:body AS bytea) FROM file
ON CONFLICT (job_id, name, seq) DO UPDATE SET bytes = excluded.bytes, body = excluded.body
""")

_COMPLETE = text("""
UPDATE artifacts SET complete = true, sha256 = :sha256,
    bytes = (SELECT sum(bytes) FROM artifact_parts WHERE job_id = :job_id AND name = :name)
WHERE job_id = :job_id AND name = :name AND NOT complete
""")


async def write_part(session: Session, job_id: UUID, name: str, media_type: str, seq: int, body: bytes) -> None:
    """Write a part of a file; written again by a later attempt, it replaces itself. Call it inside a fenced step.

    A part of a complete file is left as it is.
    """
    await session.execute(
        _PART, {"job_id": job_id, "name": name, "media_type": media_type, "seq": seq, "bytes": len(body), "body": body}
    )


async def complete(session: Session, job_id: UUID, name: str, sha256: str) -> None:
    """Declare a file finished; from here its bytes never change."""
    await session.execute(_COMPLETE, {"job_id": job_id, "name": name, "sha256": sha256})


async def of_jobs(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, list[Artifact]]:
    """List the files of jobs; of an unfinished file, the size of its finished parts."""
    so_far = (
        select(func.coalesce(func.sum(artifact_parts.c.bytes), 0))
        .where(artifact_parts.c.job_id == artifacts.c.job_id, artifact_parts.c.name == artifacts.c.name)
        .scalar_subquery()
    )
    rows = await session.execute(
        select(artifacts, so_far.label("so_far")).where(artifacts.c.job_id.in_(job_ids)).order_by(artifacts.c.name)
    )
    found: dict[UUID, list[Artifact]] = {}
    for row in rows:
        size = row.bytes if row.complete else int(row.so_far)
        found.setdefault(row.job_id, []).append(Artifact(row.name, row.media_type, size, row.sha256, row.complete))
    return found


async def extent(session: Session, job_id: UUID, name: str) -> list[tuple[int, int]]:
    """List the parts of a file in order: (seq, bytes)."""
    rows = await session.execute(
        select(artifact_parts.c.seq, artifact_parts.c.bytes)
        .where(artifact_parts.c.job_id == job_id, artifact_parts.c.name == name)
        .order_by(artifact_parts.c.seq)
    )
    return [(row.seq, row.bytes) for row in rows]


async def part(session: Session, job_id: UUID, name: str, seq: int) -> bytes:
    """Read one part of a file."""
    return bytes(
        (
            await session.execute(
                select(artifact_parts.c.body).where(
                    artifact_parts.c.job_id == job_id, artifact_parts.c.name == name, artifact_parts.c.seq == seq
                )
            )
        ).scalar_one()
    )


async def content(session: Session, job_id: UUID, name: str) -> AsyncIterator[bytes]:
    """Read a file part by part, so that a large one is never held."""
    for seq, _ in await extent(session, job_id, name):
        yield await part(session, job_id, name, seq)
