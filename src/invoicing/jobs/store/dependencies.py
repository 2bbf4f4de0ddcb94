"""Statements about what jobs need from outside: how it does, who tries it, when it was down."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from invoicing.jobs.model import Breaker
from invoicing.jobs.model.dependencies import Breakers, Said, Sign, pause_after
from invoicing.jobs.store.channels import DEPENDENCIES
from invoicing.kit.db import Session

_FIELDS = ", ".join(field.name for field in fields(Breaker) if field.name != "trying")

# Whoever tries is under way while its job still is where the try put it: nothing has to be undone when a worker dies.
_TRYING = """
EXISTS (
    SELECT FROM jobs j WHERE j.id = d.job_id AND (
        (j.attempt = d.attempt AND j.state = 'running')
        OR (j.attempt = d.attempt - 1 AND j.state IN ('queued', 'retrying') AND j.released_at IS NOT NULL)
    )
) AS trying
"""

_OPEN = text(f"SELECT {_FIELDS}, {_TRYING} FROM dependencies d WHERE opened_at IS NOT NULL ORDER BY name")

_NAMED = f"SELECT {_FIELDS}, false AS trying FROM dependencies WHERE name = ANY($1::text[])"

_ADD = """
INSERT INTO dependencies (name, title) SELECT * FROM unnest($1::text[], $2::text[]) AS new(name, title) ORDER BY name
ON CONFLICT (name) DO NOTHING
"""

_LOCK = f"""
SELECT {_FIELDS}, {_TRYING}, now() AS now FROM dependencies d WHERE name = ANY($1::text[])
ORDER BY name FOR NO KEY UPDATE
"""

# Of attempts that end this moment those that are still the current ones: a late one says nothing.
_CURRENT = """
SELECT jobs.id, a.started_at FROM unnest($1::uuid[], $2::int[]) AS e(id, attempt)
JOIN jobs ON jobs.id = e.id AND jobs.attempt = e.attempt JOIN attempts a ON a.job_id = jobs.id AND a.number = e.attempt
WHERE (jobs.state = 'running') IS TRUE
"""

_WRITE = """
UPDATE dependencies d SET title = c.title, failures = c.failures, error = c.error, failed_at = c.failed_at,
    opened_at = c.opened_at, tries = c.tries, next_try_at = c.next_try_at, job_id = c.job_id, attempt = c.attempt,
    tried_at = c.tried_at
FROM unnest(
    $1::text[], $2::text[], $3::int[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::int[], $8::timestamptz[],
    $9::uuid[], $10::int[], $11::timestamptz[]
) AS c(name, title, failures, error, failed_at, opened_at, tries, next_try_at, job_id, attempt, tried_at)
WHERE d.name = c.name
"""

_DOWN = f"""
WITH begun AS (
    INSERT INTO outages (dependency, since, title) SELECT name, opened_at, title FROM dependencies
    WHERE name = ANY($1::text[]) ON CONFLICT DO NOTHING
)
SELECT pg_notify('{DEPENDENCIES}', '')
"""

_UP = f"""
WITH ended AS (
    UPDATE outages SET until = greatest(since, now()) WHERE dependency = ANY($1::text[]) AND until IS NULL
)
SELECT pg_notify('{DEPENDENCIES}', '')
"""

# Upon what was read: a try that another began since, or a breaker that closed, leaves nothing to begin.
_TRY = f"""
UPDATE dependencies d SET job_id = $2, attempt = $3, tried_at = now(), tries = tries + 1, next_try_at = now() + $6
WHERE name = $1 AND opened_at = $4 AND tries = $5 RETURNING {_FIELDS}, true AS trying
"""

_FORGET = text("""
WITH oldest AS (
    SELECT coalesce((SELECT submitted_at FROM jobs ORDER BY id LIMIT 1), now()) - interval '1 day' AS at
)
DELETE FROM outages USING oldest WHERE until < oldest.at
""")


async def breakers(session: Session) -> dict[str, Breaker]:
    """List what is taken to be down."""
    return {row["name"]: Breaker(**row) for row in (await session.execute(_OPEN)).mappings()}


async def named(connection: "asyncpg.Connection[Any]", names: Collection[str]) -> dict[str, Breaker]:
    """Read how some dependencies do; those that never failed are left out."""
    return {row["name"]: Breaker(**row) for row in await connection.fetch(_NAMED, list(names))}


async def locked(connection: "asyncpg.Connection[Any]", said: Collection[Said]) -> tuple[datetime | None, Breakers]:
    """Lock dependencies of which something is said, in order; gives PostgreSQL's clock with them."""
    new = {one.down: one.title for one in said if one.down is not None}
    if new:
        await connection.execute(_ADD, list(new), list(new.values()))
    rows = await connection.fetch(_LOCK, list({name for one in said for name in one.names}))
    found = {}
    for row in rows:
        values = dict(row)
        del values["now"]
        found[row["name"]] = Breaker(**values)
    return (rows[0]["now"] if rows else None), found


async def current(connection: "asyncpg.Connection[Any]", ended: Sequence[tuple[UUID, int, Said]]) -> list[Sign]:
    """Keep of what attempts say what counts: they are still the current ones."""
    rows = await connection.fetch(_CURRENT, [job for job, _, _ in ended], [attempt for _, attempt, _ in ended])
    began = {row["id"]: row["started_at"] for row in rows}
    return [Sign(said, job, attempt, began[job]) for job, attempt, said in ended if job in began]


async def write(connection: "asyncpg.Connection[Any]", before: Breakers, after: Breakers) -> None:
    """Write what changed; what went down or is there again leaves a row, and the dispatcher is told."""
    changed = [one for name, one in after.items() if one != before[name]]
    if not changed:
        return
    columns = [field.name for field in fields(Breaker) if field.name != "trying"]
    await connection.execute(_WRITE, *([getattr(one, column) for one in changed] for column in columns))
    down = [one.name for one in changed if one.opened_at is not None and before[one.name].opened_at is None]
    up = [one.name for one in changed if one.opened_at is None and before[one.name].opened_at is not None]
    for statement, names in ((_DOWN, down), (_UP, up)):
        if names:
            await connection.execute(statement, names)


async def begin_try(
    connection: "asyncpg.Connection[Any]", breaker: Breaker, job_id: UUID, attempt: int
) -> Breaker | None:
    """Let an attempt try what is down; None where another does already, or it is there again."""
    pause = pause_after(breaker.tries + 1)
    row = await connection.fetchrow(_TRY, breaker.name, job_id, attempt, breaker.opened_at, breaker.tries, pause)
    return None if row is None else Breaker(**row)


async def forget(session: Session) -> None:
    """Remove outages that ended before any job that is kept was submitted."""
    await session.execute(_FORGET)
