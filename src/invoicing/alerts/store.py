"""Statements about the channels of ops, and about what was last said of incidents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import func

from invoicing.alerts.model import AlertState, Severity
from invoicing.alerts.tables import alert_channels, alerts
from invoicing.kit.db import Session

_c = alert_channels.c

# The row of an incident is locked by this: of two that speak of one, the second waits. A revision that is not newer
# changes nothing and gives nothing.
_SAY = text("""
INSERT INTO alerts AS a (incident_id, revision, state, severities, body)
VALUES (:incident_id, :revision, :state, ARRAY[CAST(:severity AS text)], :body)
ON CONFLICT (incident_id) DO UPDATE SET revision = excluded.revision, state = excluded.state, body = excluded.body,
    said_at = now(), severities = array_append(array_remove(a.severities, :severity), :severity)
WHERE a.revision < excluded.revision
RETURNING array_remove(severities, :severity) AS earlier
""")

_FORGET = text("""
DELETE FROM alerts WHERE incident_id IN (
    SELECT incident_id FROM alerts WHERE state = 'resolved' AND said_at < now() - CAST(:kept AS interval)
    ORDER BY said_at LIMIT :most FOR UPDATE SKIP LOCKED
)
""")


@dataclass(frozen=True)
class Row:
    """A channel as this room keeps it."""

    id: UUID
    name: str
    least: Severity
    answers: bool
    from_environment: bool


async def hold_channels(session: Session) -> None:
    """Let nobody else add or remove a channel before the transaction ends."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("alert_channels", 0))))


async def hold_for_telling(session: Session) -> None:
    """Let nobody add or remove a channel before the transaction ends, but others tell theirs."""
    await session.execute(select(func.pg_advisory_xact_lock_shared(func.hashtextextended("alert_channels", 0))))


async def insert_channel(
    session: Session, channel_id: UUID, name: str, least: Severity, answer_secret: str | None, *, from_environment: bool
) -> None:
    """Insert a channel; its name must be free."""
    await session.execute(
        insert(alert_channels).values(
            id=channel_id, name=name, least=least, answer_secret=answer_secret, from_environment=from_environment
        )
    )


async def channels(session: Session) -> list[Row]:
    """List the channels, the oldest first."""
    rows = await session.execute(
        select(_c.id, _c.name, _c.least, _c.answer_secret.is_not(None).label("answers"), _c.from_environment).order_by(
            _c.id
        )
    )
    return [Row(row.id, row.name, Severity(row.least), row.answers, row.from_environment) for row in rows]


async def remove_channel(session: Session, channel_id: UUID) -> bool:
    """Remove a channel; False when there is none."""
    removed = await session.execute(delete(alert_channels).where(_c.id == channel_id).returning(_c.id))
    return removed.one_or_none() is not None


async def set_answer_secret(session: Session, channel_id: UUID, secret: str) -> None:
    """Keep what PagerDuty signs with."""
    await session.execute(update(alert_channels).where(_c.id == channel_id).values(answer_secret=secret))


async def answer_secret(session: Session, channel_id: UUID) -> str | None:
    """Give what PagerDuty signs with; None where nothing comes back from this channel."""
    secret: str | None = await session.scalar(select(_c.answer_secret).where(_c.id == channel_id))
    return secret


async def say(
    session: Session, incident_id: UUID, revision: int, state: AlertState, severity: Severity, body: str
) -> Sequence[Severity] | None:
    """Keep what is said last of an incident; gives the severities it had before, None when it is no news."""
    values = {"incident_id": incident_id, "revision": revision, "state": state, "severity": severity, "body": body}
    row = (await session.execute(_SAY, values)).one_or_none()
    return None if row is None else [Severity(one) for one in row.earlier]


async def standing(session: Session) -> list[str]:
    """Give what was last said of every incident that is not over, the oldest first."""
    rows = await session.scalars(
        select(alerts.c.body).where(alerts.c.state != AlertState.RESOLVED).order_by(alerts.c.incident_id)
    )
    return list(rows.all())


async def standing_ids(session: Session) -> set[UUID]:
    """Name the incidents that something was said of and that are not over."""
    return set((await session.scalars(select(alerts.c.incident_id).where(alerts.c.state != AlertState.RESOLVED))).all())


async def last_said(session: Session, incident_id: UUID, *, held: bool = False) -> str | None:
    """Give what was last said of an incident; `held` lets nobody say more before the transaction ends."""
    query = select(alerts.c.body).where(alerts.c.incident_id == incident_id)
    body: str | None = await session.scalar(query.with_for_update() if held else query)
    return body


async def forget(session: Session, kept: timedelta, most: int) -> None:
    """Remove what was said of incidents that were over long ago."""
    await session.execute(_FORGET, {"kept": kept, "most": most})
