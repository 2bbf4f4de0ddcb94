"""Removing messages that left, or never will, a while after: with their attempts, a few at a time."""

from datetime import datetime

from sqlalchemy import text

from invoicing.kit.db import Session

_REMOVE = text("""
WITH old AS (
    SELECT id FROM messages WHERE state <> 'waiting' AND finished_at < :before
    ORDER BY finished_at LIMIT :most FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM messages USING old WHERE messages.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
""")

_COUNT = text("""
SELECT count(*) FROM (
    SELECT FROM messages WHERE state <> 'waiting' AND finished_at < :before LIMIT :most
) AS counted
""")


async def remove(session: Session, before: datetime, most: int) -> int:
    """Remove the oldest messages; gives how many. One that is being sent again meanwhile is passed over."""
    removed: int = (await session.execute(_REMOVE, {"before": before, "most": most})).scalar_one()
    return removed


async def count(session: Session, before: datetime, most: int) -> int:
    """Count the messages that were done before a time, up to so many."""
    counted: int = (await session.execute(_COUNT, {"before": before, "most": most})).scalar_one()
    return counted
