"""How the service does, in one bounded read: what is open, what is over lately, and who looked when."""

from sqlalchemy import text
from sqlalchemy.engine import Row

from invoicing.incidents.model.causes import Cause
from invoicing.incidents.model.notices import UNTOLD
from invoicing.incidents.model.public import LATELY, Disruption, Outlook
from invoicing.kit.db import Session

_MOST_OPEN = 100
_MOST_OVER = 50

_SHOWN = "cause, scope, reach -> 'lanes' AS lanes, since, estimate, quiet_since IS NOT NULL AS quiet, resolved_at"

# What heals by itself, and what is a customer's own, is nobody else's news.
_PUBLIC = "severity <> 'S4' AND cause <> ALL(CAST(:untold AS text[])) AND merged_into IS NULL"

_READ = text(f"""
SELECT now() AS now, (SELECT at FROM places WHERE name = 'watch') AS looked_at,
    ARRAY(SELECT lane FROM pauses WHERE ended_at IS NULL AND until > now()) AS paused, shown.*
FROM (SELECT) AS always LEFT JOIN (
    (SELECT {_SHOWN} FROM incidents WHERE state <> 'resolved' AND {_PUBLIC} ORDER BY since LIMIT :most_open)
    UNION ALL
    (SELECT {_SHOWN} FROM incidents
    WHERE state = 'resolved' AND resolved_at > now() - CAST(:lately AS interval) AND {_PUBLIC}
    ORDER BY resolved_at DESC LIMIT :most_over)
) AS shown ON true
""")


async def outlook(session: Session) -> Outlook:
    """Read how the service does."""
    asked = {"untold": list(UNTOLD), "lately": LATELY, "most_open": _MOST_OPEN, "most_over": _MOST_OVER}
    rows = (await session.execute(_READ, asked)).all()
    shown = [_disruption(row) for row in rows if row.cause is not None]
    first = rows[0]
    return Outlook(
        first.now,
        first.looked_at,
        frozenset(first.paused),
        tuple(one for one in shown if one.ended_at is None),
        tuple(one for one in shown if one.ended_at is not None),
    )


def _disruption(row: Row[tuple[object, ...]]) -> Disruption:
    lanes = None if row.lanes is None else frozenset(row.lanes)
    return Disruption(Cause(row.cause), row.scope, lanes, row.since, row.estimate, row.quiet, row.resolved_at)
