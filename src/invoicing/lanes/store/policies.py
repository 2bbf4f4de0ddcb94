"""Statements about the scheduling policy: what was learned, what people set for the fleet and for hosts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.kit.db import Session
from invoicing.lanes.model.overrides import Settings

CHANGED = "invoicing_policy"
"""The PostgreSQL channel on which a change is told; the payload is its scope."""

_LEARNED = "learned"

_READ = text("""
SELECT scope, settings, by, reason, at FROM policies
UNION ALL SELECT 'learned', state, '', '', updated_at FROM learning WHERE name = 'cutoffs' ORDER BY scope
""")

# a host's settings are checked against the fleet's, which must not change meanwhile
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('invoicing.policies'))")

_WRITE = text("""
INSERT INTO policies (scope, settings, by, reason) VALUES (:scope, CAST(:settings AS jsonb), :by, :reason)
ON CONFLICT (scope) DO UPDATE SET settings = excluded.settings, by = excluded.by, reason = excluded.reason, at = now()
""")

_REMOVE = text("DELETE FROM policies WHERE scope = :scope")

_TELL = text(f"SELECT pg_notify('{CHANGED}', :scope)")


@dataclass(frozen=True)
class Override:
    """What people set for a scope (`fleet` or `host:<name>`): who last, why, when."""

    scope: str
    settings: Settings
    by: str
    reason: str
    at: datetime


async def lock_overrides(session: Session) -> None:
    """Let nobody else change settings until this transaction ends."""
    await session.execute(_LOCK)


async def overrides(session: Session) -> tuple[Sequence[Override], Settings]:
    """Read what people set, for the fleet and for each host, and the cut-offs that were learned."""
    rows = (await session.execute(_READ)).all()
    found = [Override(*row) for row in rows if row.scope != _LEARNED]
    return found, next((row.settings for row in rows if row.scope == _LEARNED), {})


async def write_override(session: Session, scope: str, settings: Settings, by: str, reason: str) -> None:
    """Set a scope's settings (none: take them all back), and tell whom it concerns once this commits."""
    if settings:
        row = {"scope": scope, "settings": to_json(settings).decode(), "by": by, "reason": reason}
        await session.execute(_WRITE, row)
    else:
        await session.execute(_REMOVE, {"scope": scope})
    await session.execute(_TELL, {"scope": scope})
