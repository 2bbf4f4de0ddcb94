"""News that customers were told to expect: kept while it is owed, and written where nothing else is news.

Read and written is what was shown to somebody, whatever is stored or waits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json
from sqlalchemy import text

from invoicing.jobs.model import NEWS_WITHIN, Owed, Update
from invoicing.jobs.store.channels import TOLD_JOBS
from invoicing.kit.clock import rfc3339
from invoicing.kit.db import Session

Told = Mapping[tuple[UUID, int], datetime]
"""Times by which there will be news, by job and the revision that was shown."""

# What has changed since it was shown was news already. In the order of ids, so that two writers cannot wait for each
# other.
_OWE = text("""
INSERT INTO news_due AS n (job_id, revision, due)
SELECT j.id, j.revision, told.due
FROM unnest(CAST(:ids AS uuid[]), CAST(:revisions AS int[]), CAST(:dues AS timestamptz[])) AS told(id, revision, due)
JOIN jobs j ON j.id = told.id AND j.revision = told.revision AND j.finished_at IS NULL
ORDER BY j.id
ON CONFLICT (job_id, revision) DO UPDATE SET due = excluded.due WHERE excluded.due < n.due
""")

_UNCHANGED = "SELECT FROM jobs j WHERE j.id = n.job_id AND j.revision = n.revision AND j.finished_at IS NULL"

# News is the first row of the timeline behind what was shown; where a running job changed without one, it is now.
_SETTLE = text(f"""
WITH over AS MATERIALIZED (
    SELECT n.job_id, n.revision FROM news_due n
    WHERE n.due <= now() + CAST(:within AS interval) AND NOT EXISTS ({_UNCHANGED})
    ORDER BY n.due LIMIT :most FOR UPDATE OF n SKIP LOCKED
), gone AS (
    DELETE FROM news_due n USING over WHERE n.job_id = over.job_id AND n.revision = over.revision
    RETURNING n.job_id, n.revision, n.due
), ended AS (
    SELECT j.customer_id, j.kind, gone.due, coalesce(first.at, now()) <= gone.due AS kept
    FROM gone JOIN jobs j ON j.id = gone.job_id LEFT JOIN LATERAL (
        SELECT at FROM timeline WHERE job_id = gone.job_id AND seq > gone.revision ORDER BY seq LIMIT 1
    ) AS first ON true
), counted AS (
    INSERT INTO promise_tallies AS t (hour, customer_id, kind, updates_kept, updates_missed)
    SELECT date_trunc('hour', least(due, now())), customer_id, kind, count(*) FILTER (WHERE kept),
        count(*) FILTER (WHERE NOT kept)
    FROM ended GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (hour, customer_id, kind) DO UPDATE
        SET updates_kept = t.updates_kept + excluded.updates_kept,
            updates_missed = t.updates_missed + excluded.updates_missed
)
SELECT count(*) FROM gone
""")

_OWED = text(f"""
SELECT n.job_id, n.revision FROM news_due n
WHERE n.due <= now() + CAST(:within AS interval) AND EXISTS ({_UNCHANGED})
ORDER BY n.due LIMIT :most
""")

# What is locked is passed over: it is in a step of its own, which is news, or the next round asks again.
_WRITE = f"""
WITH noted AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[]) AS n(id, was, data)
), free AS MATERIALIZED (
    SELECT noted.* FROM noted JOIN jobs ON jobs.id = noted.id
    WHERE jobs.finished_at IS NULL AND jobs.revision = noted.was
    ORDER BY jobs.id FOR NO KEY UPDATE OF jobs SKIP LOCKED
), changed AS (
    UPDATE jobs SET revision = revision + 1, updates = updates + 1 FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, jobs.revision, jobs.state, jobs.attempt, free.data
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'update', state, attempt, data::jsonb FROM changed
), followers AS ({TOLD_JOBS})
SELECT id, revision FROM changed LEFT JOIN followers ON true
"""


async def owe(session: Session, told: Told) -> None:
    """Keep by when there will be news of jobs, of those that are still what was shown; the earliest time counts."""
    values = {
        "ids": [job_id for job_id, _ in told],
        "revisions": [revision for _, revision in told],
        "dues": list(told.values()),
    }
    await session.execute(_OWE, values)


async def settle(session: Session, most: int) -> int:
    """Count and forget what is nearly due and was kept, or missed, by a change of its job; gives how many."""
    return int((await session.execute(_SETTLE, {"within": NEWS_WITHIN, "most": most})).scalar_one())


async def owed(session: Session, most: int) -> list[Owed]:
    """List what is nearly due of jobs that have not changed, what is due first first."""
    rows = await session.execute(_OWED, {"within": NEWS_WITHIN, "most": most})
    return [Owed(row.job_id, row.revision) for row in rows]


async def write(connection: "asyncpg.Connection[Any]", updates: Sequence[Update]) -> dict[UUID, int]:
    """Write that there is no news, and why, where jobs are as they were seen; gives the revisions that this made."""
    rows = await connection.fetch(
        _WRITE,
        [one.job_id for one in updates],
        [one.revision for one in updates],
        [to_json(_data(one)).decode() for one in updates],
    )
    return {row["id"]: row["revision"] for row in rows}


def _data(update: Update) -> dict[str, Any]:
    """Give what a row of the timeline says of an update."""
    likely, latest = update.likely, update.latest
    return {
        "reason": asdict(update.reason),
        "expected": {"likely": rfc3339(likely), "latest": rfc3339(latest)} if likely and latest else None,
        "ahead": update.ahead,
        "next_update_by": rfc3339(update.next_by),
    }
