"""What the relay asks and writes: which endpoints may have something, what to send, what became of it.

An endpoint's row is locked while messages to it are chosen, so that its bound and its probe hold for all relays
together; messages are claimed under a lease, so that those of a relay that died come again.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import Session
from invoicing.outbox.model import Channel, Errand, Verdict

BELL, BELL_OF_OPS = "invoicing_outbox", "invoicing_alerts"
"""Notified with the commit that writes messages, or lets some be sent: to customers, and to ops."""

_RUNG = "CASE WHEN customer_id IS NULL THEN 'invoicing_alerts' ELSE 'invoicing_outbox' END"

# From one endpoint that has something waiting to the next by the index: ten thousand messages cost what one does.
BUSY = """
WITH RECURSIVE busy AS (
    (SELECT endpoint_id FROM messages WHERE state = 'waiting' ORDER BY endpoint_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT m.endpoint_id FROM messages m WHERE m.state = 'waiting' AND m.endpoint_id > busy.endpoint_id
        ORDER BY m.endpoint_id LIMIT 1
    ) FROM busy WHERE busy.endpoint_id IS NOT NULL
)
"""

_READY = text(
    BUSY
    + """
SELECT e.id FROM busy JOIN endpoints e ON e.id = busy.endpoint_id
CROSS JOIN LATERAL (
    SELECT m.due_at FROM messages m WHERE m.endpoint_id = e.id AND m.state = 'waiting' ORDER BY m.due_at LIMIT 1
) AS first
WHERE e.channel = ANY (:channels) AND e.removed_at IS NULL AND e.disabled_at IS NULL AND first.due_at <= now()
    AND CASE WHEN :probing THEN e.open_until <= now() ELSE e.open_until IS NULL END
ORDER BY first.due_at LIMIT :most FOR NO KEY UPDATE OF e SKIP LOCKED
"""
)

_NEXT = text(
    BUSY
    + """
SELECT extract(epoch FROM min(greatest(first.due_at, e.open_until)) - now())::float8
FROM busy JOIN endpoints e ON e.id = busy.endpoint_id
CROSS JOIN LATERAL (
    SELECT m.due_at FROM messages m WHERE m.endpoint_id = e.id AND m.state = 'waiting' ORDER BY m.due_at LIMIT 1
) AS first
WHERE e.channel = ANY (:channels) AND e.removed_at IS NULL AND e.disabled_at IS NULL
"""
)

_CLAIM = text("""
WITH gates AS (
    SELECT * FROM unnest(CAST(:endpoints AS uuid[]), CAST(:rooms AS int[])) AS g(endpoint_id, room)
), chosen AS (
    SELECT one.id FROM gates CROSS JOIN LATERAL (
        SELECT m.id FROM messages m
        WHERE m.endpoint_id = gates.endpoint_id AND m.state = 'waiting' AND m.due_at <= now()
            AND NOT EXISTS (
                SELECT FROM messages earlier
                WHERE earlier.job_id = m.job_id AND earlier.endpoint_id = m.endpoint_id AND earlier.seq < m.seq
                    AND earlier.state = 'waiting'
            )
            AND NOT EXISTS (
                SELECT FROM messages earlier
                WHERE earlier.incident_id = m.incident_id AND earlier.endpoint_id = m.endpoint_id
                    AND earlier.seq < m.seq AND earlier.state = 'waiting'
            )
        ORDER BY m.due_at, m.id
        LIMIT greatest(0, gates.room - (
            SELECT count(*) FROM messages under_way
            WHERE under_way.endpoint_id = gates.endpoint_id AND under_way.lease_until > now()
        ))
        FOR NO KEY UPDATE OF m SKIP LOCKED
    ) AS one
), taken AS (
    UPDATE messages SET attempts = attempts + 1, tries = tries + 1, lease_until = now() + CAST(:lease AS interval),
        due_at = now() + CAST(:lease AS interval)
    FROM chosen WHERE messages.id = chosen.id
    RETURNING messages.id, attempts, tries, messages.endpoint_id, event, body, gives_up_at - now() AS "left", repeats
), lost AS (
    UPDATE delivery_attempts SET outcome = 'lost', explanation = 'The relay that sent it was lost; it is sent again.'
    FROM taken WHERE message_id = taken.id AND number = taken.attempts - 1 AND outcome IS NULL
), begun AS (
    INSERT INTO delivery_attempts (message_id, number) SELECT id, attempts FROM taken
), probed AS (
    UPDATE endpoints SET open_until = now() + CAST(:lease AS interval) FROM taken
    WHERE endpoints.id = taken.endpoint_id AND open_until IS NOT NULL
)
SELECT taken.*, e.url, e.secret, CASE WHEN e.old_secret_until > now() THEN e.old_secret END AS old_secret,
    e.open_until IS NOT NULL AS probing, e.language, e.channel
FROM taken JOIN endpoints e ON e.id = taken.endpoint_id
""")

_FAILURES = text("SELECT failures FROM endpoints WHERE id = :id FOR NO KEY UPDATE")

_WELL = text(f"""
UPDATE endpoints SET failures = 0, open_until = NULL
WHERE id = :id AND (failures > 0 OR open_until IS NOT NULL) RETURNING pg_notify({_RUNG}, '')
""")

_UNWELL = text("""
UPDATE endpoints SET failures = failures + 1,
    open_until = CASE WHEN :probing THEN now() + CAST(:pause AS interval)
                      WHEN CAST(:pause AS interval) IS NULL THEN open_until
                      ELSE greatest(open_until, now() + CAST(:pause AS interval)) END,
    disabled_at = CASE WHEN :gone THEN coalesce(disabled_at, now()) ELSE disabled_at END,
    disabled_why = CASE WHEN :gone THEN coalesce(disabled_why, :why) ELSE disabled_why END
WHERE id = :id
""")

_SETTLE = text("""
WITH settled AS (
    UPDATE messages SET state = CAST(:state AS text), lease_until = NULL,
        due_at = CASE WHEN CAST(:state AS text) = 'waiting'
                      THEN least(now() + CAST(:again_in AS interval), greatest(now(), gives_up_at)) ELSE due_at END,
        finished_at = CASE WHEN CAST(:state AS text) <> 'waiting' THEN now() END
    WHERE id = :id AND attempts = :attempt AND state = 'waiting' RETURNING id
), noted AS (
    UPDATE delivery_attempts SET took_s = extract(epoch FROM clock_timestamp() - started_at), outcome = :outcome,
        status = :status, explanation = :explanation
    WHERE message_id = :id AND number = :attempt
)
SELECT id FROM settled
""")

# Whoever has meanwhile written a later message has taken `repeats` from this one: then it is done. Of what is sent
# again and again for days the last attempts are kept.
_KEEP_UP = text("""
WITH kept AS (
    UPDATE messages SET lease_until = NULL, tries = 0,
        state = CASE WHEN repeats IS NULL THEN 'delivered' ELSE 'waiting' END,
        finished_at = CASE WHEN repeats IS NULL THEN now() END,
        due_at = now() + coalesce(repeats, interval '0'), gives_up_at = now() + CAST(:window AS interval)
    WHERE id = :id AND attempts = :attempt AND state = 'waiting' RETURNING id
), noted AS (
    UPDATE delivery_attempts SET took_s = extract(epoch FROM clock_timestamp() - started_at), outcome = :outcome,
        status = :status
    WHERE message_id = :id AND number = :attempt
), forgotten AS (
    DELETE FROM delivery_attempts WHERE message_id = :id AND number <= :attempt - :shown
)
SELECT id FROM kept
""")

_ATTEMPTS_SHOWN = 20
"""Of a message that repeats."""

_EXPIRE = text("""
WITH over AS (
    SELECT m.id FROM messages m JOIN endpoints e ON e.id = m.endpoint_id
    WHERE m.state = 'waiting' AND m.gives_up_at < now() AND (m.lease_until IS NULL OR m.lease_until < now())
        AND (e.removed_at IS NOT NULL OR e.disabled_at IS NOT NULL OR e.open_until IS NOT NULL)
    ORDER BY m.gives_up_at LIMIT :most FOR NO KEY UPDATE OF m SKIP LOCKED
)
UPDATE messages SET state = 'dead', finished_at = now(), lease_until = NULL FROM over WHERE messages.id = over.id
RETURNING messages.id
""")


async def ready(session: Session, channels: Collection[Channel], *, probing: bool, most: int) -> list[UUID]:
    """Find and lock endpoints that have something due, those waiting longest first; or those due for a probe."""
    values = {"channels": list(channels), "probing": probing, "most": most}
    return list((await session.scalars(_READY, values)).all())


async def claim(session: Session, rooms: Mapping[UUID, int], lease: timedelta) -> list[Errand]:
    """Take messages to locked endpoints, so many under way at each; of a job, a later one waits for the earlier."""
    rows = await session.execute(_CLAIM, {"endpoints": list(rooms), "rooms": list(rooms.values()), "lease": lease})
    return [
        Errand(
            id=row.id,
            attempt=row.attempts,
            tries=row.tries,
            endpoint_id=row.endpoint_id,
            event=row.event,
            url=row.url,
            body=row.body,
            secrets=[secret for secret in (row.secret, row.old_secret) if secret],
            left=row.left,
            probing=row.probing,
            language=row.language,
            channel=Channel(row.channel),
            repeats=row.repeats,
        )
        for row in rows
    ]


async def failures_of(session: Session, endpoint_id: UUID) -> int:
    """Lock an endpoint; gives its failures in a row."""
    return int(await session.scalar(_FAILURES, {"id": endpoint_id}) or 0)


async def went_well(session: Session, endpoint_id: UUID) -> None:
    """Close an endpoint's breaker."""
    await session.execute(_WELL, {"id": endpoint_id})


async def went_wrong(session: Session, errand: Errand, verdict: Verdict, pause: timedelta | None) -> None:
    """Count a failure of an endpoint; leave it alone for a while, or for good. A probe decides alone for how long."""
    values = {"id": errand.endpoint_id, "pause": pause, "probing": errand.probing, "gone": verdict.gone}
    await session.execute(_UNWELL, {**values, "why": "The endpoint answered 410 Gone."})


async def settle(session: Session, errand: Errand, verdict: Verdict) -> bool:
    """Write what became of an attempt; False when it is no longer the current one: another relay sends it again."""
    values = {
        "id": errand.id,
        "attempt": errand.attempt,
        "state": str(verdict.state),
        "again_in": verdict.again_in,
        "outcome": verdict.outcome,
        "status": verdict.status,
        "explanation": verdict.explanation,
    }
    return await session.scalar(_SETTLE, values) is not None


async def keep_up(session: Session, errand: Errand, verdict: Verdict, window: timedelta) -> bool:
    """Write that a message that repeats was delivered, and have it sent again in time; False as in `settle`."""
    values = {"id": errand.id, "attempt": errand.attempt, "outcome": verdict.outcome, "status": verdict.status}
    kept = await session.scalar(_KEEP_UP, {**values, "window": window, "shown": _ATTEMPTS_SHOWN})
    return kept is not None


async def expire(session: Session, most: int) -> list[UUID]:
    """Make dead letters of messages whose window ended while their endpoint could not be asked."""
    return list((await session.scalars(_EXPIRE, {"most": most})).all())


async def next_due(session: Session, channels: Collection[Channel]) -> float | None:
    """Tell in how many seconds there is something to do again; None: nothing waits."""
    due: float | None = await session.scalar(_NEXT, {"channels": list(channels)})
    return due
