"""How every channel stands: what waits, what was given up, what should have left, who is left alone for a while."""

from collections.abc import Sequence

from sqlalchemy import text

from invoicing.kit.db import Session
from invoicing.outbox.model import Channel, Signal
from invoicing.outbox.store.relay import BUSY

MOST_COUNTED = 10_000
"""Messages of a channel in a state that are counted: beyond, more of them cost no more."""

# What is due at an endpoint that is left alone for a while is no fault of the relay's.
_SIGNALS = text(
    BUSY
    + f"""
, overdue AS (
    SELECT first.channel, max(now() - first.due_at) AS by FROM busy JOIN endpoints e ON e.id = busy.endpoint_id
    CROSS JOIN LATERAL (
        SELECT m.channel, m.due_at FROM messages m WHERE m.endpoint_id = e.id AND m.state = 'waiting'
        ORDER BY m.due_at LIMIT 1
    ) AS first
    WHERE e.removed_at IS NULL AND e.disabled_at IS NULL AND e.open_until IS NULL
    GROUP BY first.channel
)
SELECT c.channel,
    (
        SELECT count(*) FROM (
            SELECT FROM messages WHERE state = 'waiting' AND channel = c.channel LIMIT {MOST_COUNTED}
        ) AS counted
    ) AS waiting,
    (
        SELECT count(*) FROM (
            SELECT FROM messages WHERE state = 'dead' AND channel = c.channel LIMIT {MOST_COUNTED}
        ) AS counted
    ) AS dead,
    greatest(0, coalesce((SELECT extract(epoch FROM by) FROM overdue WHERE overdue.channel = c.channel), 0))::float8
        AS overdue_s,
    (SELECT count(*) FROM endpoints WHERE open_until IS NOT NULL AND removed_at IS NULL AND channel = c.channel)
        AS held
FROM unnest(CAST(:channels AS text[])) AS c(channel) ORDER BY c.channel
"""
)


async def read_signals(session: Session) -> Sequence[Signal]:
    """Read how all channels stand."""
    rows = await session.execute(_SIGNALS, {"channels": [str(channel) for channel in Channel]})
    return [Signal(Channel(row.channel), row.waiting, row.dead, row.overdue_s, row.held) for row in rows]
