"""Statements of the wait ledger: what held whole lanes, and what is kept of how jobs' time went by.

Each is on an index; what is read grows with what happened in the lives that are asked about, not with what is stored.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.diagnosis.model.account import Condition, Window
from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.model.conditions import BLIND_AFTER, Changes, Key
from invoicing.diagnosis.model.life import Entry, Try
from invoicing.diagnosis.model.running import QUIET_S
from invoicing.jobs.model import Event, State
from invoicing.kit.db import Session

_AT_ONCE = 1_000

_LOOK = text("SELECT at, now() AS now FROM places WHERE name = 'watch' FOR UPDATE SKIP LOCKED")
_LOOKED = text("UPDATE places SET at = :now WHERE name = 'watch'")

_OPEN = text("SELECT scope, cause, since, until, evidence, spares FROM conditions WHERE until IS NULL")

_CLOSE = text("""
UPDATE conditions SET until = greatest(since, closed.at)
FROM unnest(CAST(:scopes AS text[]), CAST(:causes AS text[]), CAST(:ats AS timestamptz[])) AS closed(scope, cause, at)
WHERE conditions.scope = closed.scope AND conditions.cause = closed.cause AND until IS NULL
""")

# What begins begins after what was there of the same before, whenever its rule says that it began.
_BEGIN = text("""
INSERT INTO conditions (scope, cause, since, until, evidence, spares)
SELECT b.scope, b.cause, greatest(b.since, (
    SELECT max(until) + interval '1 microsecond' FROM conditions c WHERE c.scope = b.scope AND c.cause = b.cause
)), b.until, CAST(b.evidence AS jsonb), ARRAY(SELECT jsonb_array_elements_text(CAST(b.spares AS jsonb)))
FROM unnest(
    CAST(:scopes AS text[]), CAST(:causes AS text[]), CAST(:sinces AS timestamptz[]), CAST(:untils AS timestamptz[]),
    CAST(:evidences AS text[]), CAST(:spares AS text[])
) AS b(scope, cause, since, until, evidence, spares)
""")

# Of each cause the last one that began before a window, and all that began in it. What holds still is known to have
# held until somebody looked last; from there on nobody watched.
_DURING = text("""
WITH w AS (
    SELECT * FROM unnest(
        CAST(:scopes AS text[]), CAST(:sinces AS timestamptz[]), CAST(:untils AS timestamptz[])
    ) AS w(scope, since, until)
), watch AS (
    SELECT CASE WHEN at < now() - CAST(:blind AS interval) THEN at END AS ended FROM places WHERE name = 'watch'
)
SELECT DISTINCT c.scope, c.cause, c.since, coalesce(c.until, watch.ended) AS until, c.evidence, c.spares
FROM watch CROSS JOIN w CROSS JOIN unnest(CAST(:causes AS text[])) AS k(cause) CROSS JOIN LATERAL (
    (SELECT * FROM conditions WHERE scope = w.scope AND cause = k.cause AND since <= w.since
     ORDER BY since DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM conditions WHERE scope = w.scope AND cause = k.cause AND since > w.since AND since < w.until)
) AS c WHERE c.until IS NULL OR c.until > w.since
UNION ALL
SELECT '*', 'unexplained', ended, NULL, '{"watched": false}', '{}' FROM watch WHERE ended IS NOT NULL
UNION ALL
SELECT DISTINCT p.lane, 'paused', p.since,
    CASE WHEN p.ended_at IS NULL AND p.until > now() THEN NULL ELSE least(p.until, p.ended_at) END,
    jsonb_build_object('scope', 'lane', 'by', 'operations', 'reason', p.reason, 'until', p.until)
        || CASE WHEN p.maintenance_id IS NULL THEN '{}' ELSE jsonb_build_object('maintenance', p.maintenance_id) END,
    '{}'::text[]
FROM w JOIN pauses p ON p.lane = w.scope AND p.since < w.until AND least(p.until, p.ended_at) > w.since
UNION ALL
SELECT DISTINCT w.scope, 'paused', p.since,
    CASE WHEN p.ended_at IS NULL AND p.until > now() THEN NULL ELSE least(p.until, p.ended_at) END,
    jsonb_build_object('scope', 'customer', 'by', 'operations', 'reason', p.reason, 'until', p.until), '{}'::text[]
FROM w JOIN customer_pauses p ON p.customer_id = CASE WHEN w.scope LIKE 'customer:%'
    THEN CAST(split_part(w.scope, ':', 2) AS uuid) END AND p.since < w.until AND least(p.until, p.ended_at) > w.since
UNION ALL
SELECT DISTINCT w.scope, 'dependency_down', o.since, o.until, jsonb_build_object('dependency', o.title), '{}'::text[]
FROM w JOIN outages o ON 'dependency:' || o.dependency = w.scope AND o.since < w.until
    AND (o.until IS NULL OR o.until > w.since)
""")

_NOT_SIGNS = (
    Event.CANCEL_REQUESTED,
    Event.RECLASSED,
    Event.PROMISE_AT_RISK,
    Event.PROMISE_ON_TRACK,
    Event.PROMISE_MISSED,
    Event.PROMISE_MOVED,
    Event.UPDATE,
)
"""What is written while a job runs and says nothing about its work."""

# Of reports of progress only those that a long silence follows: a large job has thousands.
_ENTRIES = text("""
SELECT job_id, at, event, state, attempt, data - 'staff' - 'key_id' AS data, reports, next_sign_at FROM (
    SELECT timeline.*,
        count(*) FILTER (WHERE event = 'progressed') OVER (PARTITION BY job_id, attempt ORDER BY seq) AS reports,
        lead(at) OVER (PARTITION BY job_id, event = ANY(CAST(:not_signs AS text[])) ORDER BY seq) AS next_sign_at
    FROM timeline JOIN unnest(CAST(:ids AS uuid[]), CAST(:revisions AS int[])) AS w(id, revision)
        ON job_id = w.id AND seq <= w.revision
) AS told
WHERE event <> 'progressed' OR next_sign_at IS NULL OR next_sign_at - at > CAST(:quiet AS interval)
ORDER BY job_id, seq
""")

_TRIES = text("""
SELECT a.job_id, a.number, a.started_at, a.outcome IS NOT DISTINCT FROM 'lost' AS lost, l.heard_at,
    a.error ->> 'code' AS error_code
FROM attempts a LEFT JOIN losses l ON l.job_id = a.job_id AND l.attempt = a.number
WHERE a.job_id = ANY(CAST(:ids AS uuid[]))
""")

# A job's id tells when it was made, so the first one is the oldest; clocks of different hosts may differ a little.
_FORGET = text("""
WITH oldest AS (
    SELECT coalesce((SELECT submitted_at FROM jobs ORDER BY id LIMIT 1), now()) - interval '1 day' AS at
), gone AS (
    DELETE FROM conditions WHERE (scope, cause, since) IN (
        SELECT scope, cause, since FROM conditions, oldest WHERE until < oldest.at ORDER BY until LIMIT :most
    ) RETURNING 1
)
SELECT count(*) FROM gone
""")


async def last_look(session: Session) -> tuple[datetime, datetime] | None:
    """Tell when lanes were looked at last, and what time it is; None while somebody else looks. Locks until commit."""
    row = (await session.execute(_LOOK)).one_or_none()
    return None if row is None else (row.at, row.now)


async def looked(session: Session, now: datetime) -> None:
    """Write that somebody has looked."""
    await session.execute(_LOOKED, {"now": now})


async def holding(session: Session) -> list[Condition]:
    """List the conditions that are kept as holding."""
    return [_condition(*row) for row in await session.execute(_OPEN)]


async def close(session: Session, closed: Mapping[Key, datetime]) -> None:
    """Write when conditions ended."""
    if closed:
        keys = list(closed)
        names = {"scopes": [scope for scope, _ in keys], "causes": [cause for _, cause in keys]}
        await session.execute(_CLOSE, {**names, "ats": list(closed.values())})


async def begin(session: Session, opened: Sequence[Condition]) -> None:
    """Write what holds, or held, from its beginning on."""
    if opened:
        values = {
            "scopes": [one.scope for one in opened],
            "causes": [one.cause for one in opened],
            "sinces": [one.since for one in opened],
            "untils": [one.until for one in opened],
            "evidences": [to_json(one.evidence).decode() for one in opened],
            "spares": [to_json(sorted(one.spares)).decode() for one in opened],
        }
        await session.execute(_BEGIN, values)


async def change(session: Session, changes: Changes) -> None:
    """Write what ended, then what began."""
    await close(session, changes.closed)
    await begin(session, changes.opened)


async def during(session: Session, windows: Collection[Window]) -> list[Condition]:
    """Read everything that held jobs during windows: conditions, pauses, outages, and when nobody watched."""
    asked = list(windows)
    rows = await session.execute(
        _DURING,
        {
            "scopes": [one.scope for one in asked],
            "sinces": [one.since for one in asked],
            "untils": [one.until for one in asked],
            "causes": list(Code),
            "blind": BLIND_AFTER,
        },
    )
    return [_condition(*row) for row in rows]


async def entries(session: Session, jobs: Collection[tuple[UUID, int]]) -> dict[UUID, list[Entry]]:
    """Read the timelines of jobs up to their revisions, as far as they tell where the time went."""
    known = {"ids": [job for job, _ in jobs], "revisions": [revision for _, revision in jobs]}
    asked = {**known, "not_signs": list(_NOT_SIGNS), "quiet": timedelta(seconds=QUIET_S)}
    found: dict[UUID, list[Entry]] = {}
    for row in await session.execute(_ENTRIES, asked):
        state, event = State(row.state), Event(row.event)
        entry = Entry(row.at, event, state, row.attempt, row.data, row.reports, row.next_sign_at)
        found.setdefault(row.job_id, []).append(entry)
    return found


async def tries(session: Session, job_ids: Iterable[UUID]) -> dict[UUID, dict[int, Try]]:
    """Read the attempts at jobs, by their numbers."""
    found: dict[UUID, dict[int, Try]] = {}
    for row in await session.execute(_TRIES, {"ids": list(job_ids)}):
        attempt = Try(row.number, row.started_at, row.lost, row.heard_at, row.error_code)
        found.setdefault(row.job_id, {})[row.number] = attempt
    return found


async def forget(session: Session) -> int:
    """Remove conditions that ended before the oldest job there is was submitted; gives how many, up to a bound."""
    forgotten: int = (await session.execute(_FORGET, {"most": _AT_ONCE})).scalar_one()
    return forgotten


def _condition(
    scope: str,
    cause: str,
    since: datetime,
    until: datetime | None,
    evidence: Mapping[str, object],
    spares: Sequence[str],
) -> Condition:
    return Condition(Code(cause), scope, since, until, evidence, frozenset(spares))
