"""Reading a ledger to check it: jobs by pages in the order of their ids, and all that speaks of them, in streams.

A page is a range of ids and not a list, so that what speaks of jobs that are not there is found too.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from invoicing.jobs.model import State
from invoicing.jobs.model.history import Row, Stand, Tries

FIRST = UUID(int=0)
LAST = UUID(int=2**128 - 1)

_ROWS_IN_HAND = 1_000
_PARTS_IN_HAND = 4
"""Parts of files, of a megabyte each at most, that are in memory at a time."""

_STANDS = """
SELECT id, state, attempt, revision, EXISTS (SELECT FROM payload_parts WHERE job_id = jobs.id AND part = 0) AS request
FROM jobs WHERE id > $1 ORDER BY id LIMIT $2
"""

_TRIES = """
SELECT job_id, count(*)::int AS count, min(number) AS lowest, max(number) AS highest,
    coalesce(array_agg(number ORDER BY number) FILTER (WHERE ended_at IS NULL), '{}') AS open
FROM attempts WHERE job_id > $1 AND job_id <= $2 GROUP BY job_id
"""

_ENTRIES = """
SELECT job_id, seq, event, state, attempt FROM timeline WHERE job_id > $1 AND job_id <= $2 ORDER BY job_id, seq
"""

_FILES = """
SELECT job_id, name, bytes, sha256, complete FROM artifacts WHERE job_id > $1 AND job_id <= $2 ORDER BY job_id, name
"""

_PARTS = """
SELECT job_id, name, bytes AS size, body FROM artifact_parts
WHERE job_id > $1 AND job_id <= $2 ORDER BY job_id, name, seq
"""

_ABOUT = "SELECT greatest(0, reltuples)::bigint FROM pg_class WHERE oid = 'jobs'::regclass"


@dataclass(frozen=True)
class File:
    """A result file as its row describes it."""

    job_id: UUID
    name: str
    bytes: int
    sha256: str | None
    complete: bool


@dataclass(frozen=True)
class Part:
    """A part of a result file."""

    job_id: UUID
    name: str
    size: int
    body: bytes


async def stands(connection: "asyncpg.Connection[Any]", after: UUID, most: int) -> list[Stand]:
    """Read where the next jobs stand."""
    rows = await connection.fetch(_STANDS, after, most)
    return [Stand(row["id"], State(row["state"]), row["attempt"], row["revision"], row["request"]) for row in rows]


async def tries(connection: "asyncpg.Connection[Any]", after: UUID, upto: UUID) -> dict[UUID, Tries]:
    """Sum up the attempts of a page."""
    rows = await connection.fetch(_TRIES, after, upto)
    return {row["job_id"]: Tries(row["count"], row["lowest"], row["highest"], tuple(row["open"])) for row in rows}


async def entries(
    connection: "asyncpg.Connection[Any]", after: UUID, upto: UUID
) -> AsyncIterator[tuple[UUID, Sequence[Row]]]:
    """Stream the timelines of a page, a job after the other."""
    of: UUID | None = None
    rows: list[Row] = []
    async for row in connection.cursor(_ENTRIES, after, upto, prefetch=_ROWS_IN_HAND):
        if row["job_id"] != of:
            if of is not None:
                yield of, rows
            of, rows = row["job_id"], []
        rows.append(Row(row["seq"], row["event"], row["state"], row["attempt"]))
    if of is not None:
        yield of, rows


async def files(connection: "asyncpg.Connection[Any]", after: UUID, upto: UUID) -> dict[tuple[UUID, str], File]:
    """Read the descriptions of the files of a page."""
    rows = await connection.fetch(_FILES, after, upto)
    return {(row["job_id"], row["name"]): File(**row) for row in rows}


async def parts(connection: "asyncpg.Connection[Any]", after: UUID, upto: UUID) -> AsyncIterator[Part]:
    """Stream the parts of the files of a page, in order."""
    async for row in connection.cursor(_PARTS, after, upto, prefetch=_PARTS_IN_HAND):
        yield Part(**row)


async def about_how_many(connection: "asyncpg.Connection[Any]") -> int:
    """Estimate the number of jobs, from statistics."""
    return int(await connection.fetchval(_ABOUT))
