"""The facts that causes are found by: set-wise, each on an index, and none further than a bound.

These statements read what other rooms own, and write nothing. None looks at a job that waits in the backlog.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from invoicing.diagnosis.model.running import MISSED_GAPS, MISSED_PREDICTIONS, QUIET_S
from invoicing.incidents.model.causes import FAILED_WITHIN
from invoicing.incidents.model.facts import (
    Backlog,
    Broken,
    Failures,
    Held,
    InHand,
    OnRunway,
    Quarantine,
    Refusal,
)
from invoicing.incidents.store.decided import BROKEN, MOST_LOOKED_AT, NOT_DECIDED, of_paused
from invoicing.jobs.model import Priority, Size
from invoicing.jobs.model.losses import POISON
from invoicing.kit.db import Session
from invoicing.lanes.model import BY_NAME, LANES, Lane

_MOST_FAILED = 2_000
_MOST_QUIET = 200
_MOST_BROKEN = 1_000
_MOST_REFUSED = 200
_MOST_MESSAGES = 1_000
_MOST_DEAD = 500
_MOST_ASKED = 20

_ALONE = text("""
SELECT pg_try_advisory_xact_lock(hashtext('invoicing.incidents')) AS alone, now() AS now,
    (SELECT at FROM places WHERE name = 'watch') AS looked_at
""")

_HELD = text("""
SELECT scope, cause, since, evidence, spares FROM conditions
WHERE until IS NULL AND cause IN ('no_worker', 'no_capable_worker', 'undelivered')
""")

_BACKLOG = text(f"""
SELECT priority, size, sum(waiting)::bigint AS jobs, count(DISTINCT customer_id) AS customers FROM (
    SELECT customer_id, priority, size, sum(waiting) AS waiting FROM (
        SELECT customer_id, priority, size, waiting FROM tallies
        UNION ALL SELECT customer_id, priority, size, waiting FROM tally_changes
    ) AS counted GROUP BY customer_id, priority, size
    HAVING sum(waiting) > 0 AND NOT {of_paused("counted")}
) AS waiting GROUP BY GROUPING SETS ((priority, size), ())
""")

_RUNWAYS = text("""
SELECT priority, size, kind, count(*) AS jobs, count(DISTINCT customer_id) AS customers FROM jobs
WHERE state IN ('queued', 'retrying') AND released_at IS NOT NULL GROUP BY priority, size, kind
""")

_HELD_BACK = text("""
SELECT d.name, coalesce(sum(waiting.jobs), 0)::bigint AS jobs, count(waiting.customer_id) AS customers
FROM unnest(CAST(:names AS text[])) AS d(name) LEFT JOIN LATERAL (
    SELECT customer_id, sum(waiting) AS jobs FROM (
        SELECT customer_id, needs, waiting FROM tallies
        UNION ALL SELECT customer_id, needs, waiting FROM tally_changes
    ) AS counted WHERE d.name = ANY(string_to_array(needs, ' ')) GROUP BY customer_id HAVING sum(waiting) > 0
) AS waiting ON true GROUP BY d.name
""")

# A job that was lost counts until it has begun again, or has ended.
_IN_HAND = text("""
SELECT worker_id, count(*) AS jobs, count(DISTINCT customer_id) AS customers, min(submitted_at) AS oldest,
    max(at) AS latest
FROM (
    SELECT worker_id, customer_id, submitted_at, lease_until AS at FROM jobs
    WHERE state = 'running' AND worker_id = ANY(CAST(:workers AS uuid[]))
    UNION ALL
    SELECT l.worker_id, j.customer_id, j.submitted_at, l.lost_at FROM losses l JOIN jobs j ON j.id = l.job_id
    WHERE l.worker_id = ANY(CAST(:workers AS uuid[])) AND l.returned_at IS NULL AND j.attempt = l.attempt
      AND j.state IN ('queued', 'retrying')
) AS held GROUP BY worker_id
""")

# No rule bounds the silence of an attempt by less: what passes here is asked of the rule, which may bear more.
_QUIET = text("""
SELECT j.id FROM jobs j JOIN attempts a ON a.job_id = j.id AND a.number = j.attempt
CROSS JOIN LATERAL (
    SELECT j.progressed_at >= a.started_at AS reported, greatest(1, j.revision - 2 * j.attempt - 1) AS reports
) r
WHERE j.state = 'running' AND now() - greatest(a.started_at, j.progressed_at) > greatest(
    CAST(:quiet AS interval),
    CASE WHEN r.reported THEN CAST(:gaps AS float8) * (j.progressed_at - a.started_at) / r.reports
         ELSE CAST(:predictions AS float8) * least(j.predicted_s, 1e9) * interval '1 s' END
) ORDER BY j.lease_until LIMIT :most
""")

_TROUBLED = "(state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0))"
"""As in the index that steps from kind to kind."""

_KINDS = f"""
kinds AS (
    (SELECT kind FROM jobs WHERE {_TROUBLED} ORDER BY kind LIMIT 1)
    UNION ALL
    SELECT next.kind FROM kinds CROSS JOIN LATERAL (
        SELECT kind FROM jobs WHERE {_TROUBLED} AND kind > kinds.kind ORDER BY kind LIMIT 1
    ) AS next
)
"""

# Of what is refused the customer hears at once, and what is under quarantine is found by itself. What waits to be tried
# again after such a failure counts for as long as it does. What needs something that is down, or was lately, is told
# with that.
_FAILURES = text(f"""
WITH RECURSIVE {_KINDS}, failed AS (
    SELECT dead.* FROM kinds CROSS JOIN LATERAL (
        SELECT kind, customer_id, error ->> 'code' AS error, needs, finished_at AS at, false AS again FROM jobs
        WHERE kind = kinds.kind AND state = 'dead' AND finished_at > now() - CAST(:within AS interval)
        ORDER BY finished_at DESC LIMIT :most
    ) AS dead
    UNION ALL
    SELECT kind, customer_id, retrying.error, needs, a.ended_at, true FROM (
        SELECT id, kind, customer_id, attempt, error ->> 'code' AS error, needs FROM jobs WHERE state = 'retrying'
        ORDER BY due_at DESC LIMIT :most
    ) AS retrying JOIN attempts a ON a.job_id = retrying.id AND a.number = retrying.attempt
    WHERE a.outcome NOT IN ('succeeded', 'interrupted', 'lost')
), well AS (
    SELECT kind, count(*) AS jobs FROM (
        SELECT kind FROM jobs WHERE state = 'succeeded' AND finished_at > now() - CAST(:within AS interval)
        ORDER BY finished_at DESC, id DESC LIMIT :most
    ) AS lately GROUP BY kind
)
SELECT failed.kind, failed.error, count(*) FILTER (WHERE at > now() - CAST(:within AS interval)) AS jobs,
    count(DISTINCT customer_id) AS customers, count(*) FILTER (WHERE again) AS waiting, min(at) AS first,
    max(at) AS latest, coalesce(max(well.jobs), 0) AS succeeded
FROM failed LEFT JOIN well ON well.kind = failed.kind
WHERE failed.error IS NOT NULL AND failed.error NOT IN ('bad_input', :poison) AND (needs = '' OR NOT EXISTS (
    SELECT FROM outages o WHERE o.dependency = ANY(string_to_array(needs, ' '))
      AND (o.until IS NULL OR o.until > now() - 2 * CAST(:within AS interval))
))
GROUP BY failed.kind, failed.error
""")

_QUARANTINE = text(f"""
WITH RECURSIVE {_KINDS}, asked AS (
    SELECT kind, now() - CAST(:within AS interval) AS since FROM kinds
    UNION ALL SELECT * FROM unnest(CAST(:open_kinds AS text[]), CAST(:sinces AS timestamptz[]))
), wanted AS (SELECT kind, min(since) AS since FROM asked GROUP BY kind)
SELECT wanted.kind, count(*) AS jobs, count(DISTINCT dead.customer_id) AS customers, min(dead.finished_at) AS first,
    max(dead.finished_at) AS latest
FROM wanted CROSS JOIN LATERAL (
    SELECT customer_id, finished_at FROM jobs
    WHERE kind = wanted.kind AND state = 'dead' AND finished_at >= wanted.since AND error ->> 'code' = :poison
    ORDER BY finished_at DESC LIMIT :most
) AS dead GROUP BY wanted.kind
""")

_REFUSALS = text("""
SELECT e.customer_id, count(*) AS endpoints, sum(waiting.messages)::bigint AS messages, min(waiting.since) AS since,
    max(e.open_until) AS next_try_at, max(waiting.messages) AS most
FROM (
    SELECT id, customer_id, open_until FROM endpoints
    WHERE open_until IS NOT NULL AND removed_at IS NULL AND disabled_at IS NULL AND customer_id IS NOT NULL
    LIMIT :most_endpoints
) AS e CROSS JOIN LATERAL (
    SELECT count(*) AS messages, min(created_at) AS since FROM (
        SELECT created_at FROM messages WHERE endpoint_id = e.id AND state = 'waiting' LIMIT :most
    ) AS told
) AS waiting GROUP BY e.customer_id HAVING sum(waiting.messages) > 0
""")

# A customer, or a job, that is paused misses promises by that decision.
_BROKEN = text(f"""
SELECT lane.priority, lane.size, kind, needs, running, decided,
    count(*) FILTER (WHERE promise_status = 'missed') AS missed,
    count(*) FILTER (WHERE promise_status = 'at_risk') AS at_risk, count(DISTINCT customer_id) AS customers,
    min(promise_due) AS oldest, sum(count(*)) OVER (PARTITION BY lane.priority, lane.size) >= :most AS at_least
FROM unnest(CAST(:priorities AS text[]), CAST(:sizes AS text[])) AS lane(priority, size) CROSS JOIN LATERAL (
    SELECT kind, needs, state = 'running' AS running, state = 'in_review' OR held AS decided, promise_status,
        promise_due, customer_id
    FROM ({BROKEN}) AS jobs WHERE {NOT_DECIDED} LIMIT :most
) AS broken GROUP BY lane.priority, lane.size, kind, needs, running, decided
""")

# Of lanes in which something waits and that nothing holds: what was released first, and a job of some customers. That
# no worker offers some other kind holds nearly every lane, and says nothing of these.
_UNHELD = text(f"""
WITH lanes AS MATERIALIZED (
    SELECT customer_id, priority, size FROM (
        SELECT customer_id, priority, size, waiting FROM tallies
        UNION ALL SELECT customer_id, priority, size, waiting FROM tally_changes
    ) AS counted GROUP BY customer_id, priority, size HAVING sum(waiting) > 0 AND NOT EXISTS (
        SELECT FROM conditions WHERE until IS NULL AND scope = priority || '-' || size AND cause <> 'no_capable_worker'
    ) AND NOT EXISTS (
        SELECT FROM pauses WHERE lane = priority || '-' || size AND ended_at IS NULL AND until > now()
    ) AND NOT {of_paused("counted")} LIMIT :most
)
(SELECT j.id FROM (SELECT DISTINCT priority, size FROM lanes) AS lane CROSS JOIN LATERAL (
    SELECT id FROM jobs WHERE priority = lane.priority AND size = lane.size AND state IN ('queued', 'retrying')
      AND released_at IS NOT NULL ORDER BY released_at LIMIT 1
) AS j)
UNION ALL
(SELECT j.id FROM lanes CROSS JOIN LATERAL (
    SELECT id FROM jobs WHERE customer_id = lanes.customer_id AND size = lanes.size AND priority = lanes.priority
      AND state IN ('queued', 'retrying') AND released_at IS NULL AND NOT held LIMIT 1
) AS j)
""")

_PAUSED = text("SELECT lane FROM pauses WHERE ended_at IS NULL AND until > now()")


class Moment(NamedTuple):
    """When this is, and when somebody looked at the lanes last."""

    now: datetime
    looked_at: datetime


async def alone(session: Session) -> Moment | None:
    """Take the right to look until the end of the transaction; None when another has it."""
    row = (await session.execute(_ALONE)).one()
    return Moment(row.now, row.looked_at) if row.alone else None


async def held(session: Session) -> list[Held]:
    """List what holds lanes."""
    return [
        Held(BY_NAME[row.scope], row.cause, row.since, row.evidence, frozenset(row.spares))
        for row in await session.execute(_HELD)
        if row.scope in BY_NAME
    ]


async def backlog(session: Session) -> tuple[dict[Lane, Backlog], Backlog]:
    """Tell how much waits in each lane and in all of them, from the tallies."""
    lanes, everything = dict[Lane, Backlog](), Backlog(0, 0)
    for row in await session.execute(_BACKLOG):
        found = Backlog(int(row.jobs or 0), row.customers)
        if row.priority is None:
            everything = found
        else:
            lanes[_lane(row.priority, row.size)] = found
    return lanes, everything


async def held_back(session: Session, names: Collection[str]) -> dict[str, Backlog]:
    """Tell how much waits that needs something from outside, by its name, from the tallies."""
    rows = await session.execute(_HELD_BACK, {"names": list(names)})
    return {row.name: Backlog(row.jobs, row.customers) for row in rows}


async def runways(session: Session) -> list[OnRunway]:
    """Count what is about to start, by lane and kind."""
    rows = await session.execute(_RUNWAYS)
    return [OnRunway(_lane(row.priority, row.size), row.kind, row.jobs, row.customers) for row in rows]


async def in_hand(session: Session, workers: Iterable[UUID]) -> dict[UUID, InHand]:
    """Tell what workers hold, or had and nobody has begun again."""
    rows = await session.execute(_IN_HAND, {"workers": list(workers)})
    return {row.worker_id: InHand(row.worker_id, row.jobs, row.customers, row.oldest, row.latest) for row in rows}


async def quiet(session: Session) -> list[UUID]:
    """List running jobs that may have been silent for longer than their bound; there are never more than run."""
    asked = {"quiet": timedelta(seconds=QUIET_S), "gaps": MISSED_GAPS, "predictions": MISSED_PREDICTIONS}
    return list((await session.execute(_QUIET, {**asked, "most": _MOST_QUIET})).scalars())


async def failures(session: Session) -> list[Failures]:
    """Count jobs that failed lately, by kind and error."""
    asked = {"within": FAILED_WITHIN, "most": _MOST_FAILED, "poison": POISON}
    return [Failures(**row) for row in (await session.execute(_FAILURES, asked)).mappings()]


async def quarantine(session: Session, within: timedelta, open_kinds: Mapping[str, datetime]) -> list[Quarantine]:
    """Count jobs under quarantine by kind: those that came lately, and of kinds that are told of all since then."""
    asked = {
        "within": within,
        "open_kinds": list(open_kinds),
        "sinces": list(open_kinds.values()),
        "most": _MOST_DEAD,
        "poison": POISON,
    }
    return [
        Quarantine(row.kind, row.jobs, row.customers, row.first, row.latest, at_least=row.jobs == _MOST_DEAD)
        for row in await session.execute(_QUARANTINE, asked)
    ]


async def refusals(session: Session) -> list[Refusal]:
    """List customers whose endpoints take nothing and for whom something waits."""
    rows = await session.execute(_REFUSALS, {"most": _MOST_MESSAGES, "most_endpoints": _MOST_REFUSED})
    return [
        Refusal(
            row.customer_id,
            row.endpoints,
            int(row.messages),
            row.since,
            row.next_try_at,
            at_least=row.most >= _MOST_MESSAGES,
        )
        for row in rows
    ]


async def broken(session: Session) -> list[Broken]:
    """Count the promises of unfinished jobs that are missed or at risk, by lane and kind."""
    asked = {
        "priorities": [lane.priority for lane in LANES],
        "sizes": [lane.size for lane in LANES],
        "most": _MOST_BROKEN,
        "looked_at": MOST_LOOKED_AT,
    }
    return [
        Broken(
            _lane(row.priority, row.size),
            row.kind,
            row.running,
            row.missed,
            row.at_risk,
            row.customers,
            row.oldest,
            at_least=row.at_least,
            needs=row.needs,
            decided=row.decided,
        )
        for row in await session.execute(_BROKEN, asked)
    ]


async def unheld(session: Session) -> list[UUID]:
    """List a few jobs that wait in lanes that nothing holds."""
    return list((await session.execute(_UNHELD, {"most": _MOST_ASKED})).scalars())


async def paused(session: Session) -> Collection[str]:
    """Name the lanes that somebody has paused."""
    return frozenset((await session.execute(_PAUSED)).scalars())


def _lane(priority: str, size: str) -> Lane:
    return Lane(Priority(priority), Size(size))
