"""The scheduling policy that holds now: defaults, what was learned, what people set for the fleet and for a host."""

from dataclasses import dataclass, field
from datetime import datetime

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.kit.db import Session
from invoicing.kit.problems import Finding, Problem
from invoicing.lanes.model import POLICY, Policy
from invoicing.lanes.model.overrides import Settings, applied, contradictions, laid, merged, misfits, slots_of

FLEET = "fleet"
CHANGED = "invoicing_policy"
"""The PostgreSQL channel on which a change is told; the payload is its scope."""

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

    @property
    def host(self) -> str | None:
        """The host it is for; None: the fleet."""
        return None if self.scope == FLEET else self.scope.partition(":")[2]


@dataclass(frozen=True)
class Policies:
    """What holds for the fleet and for each host, at one moment."""

    fleet: Policy = POLICY
    overrides: tuple[Override, ...] = ()
    learned: Settings = field(default_factory=dict)
    """The cut-offs that were learned from the load; what people set stands above them."""

    def of(self, host: str | None) -> Policy:
        """Give the policy of the workers of a host."""
        return applied(self.fleet, self.settings(scope_of(host))) if host else self.fleet

    def slots(self, host: str) -> int | None:
        """How many slots each worker of a host offers; None: as it was started."""
        return slots_of(self.settings(scope_of(host)))

    def settings(self, scope: str) -> Settings:
        """Give what people set for a scope."""
        return next((one.settings for one in self.overrides if one.scope == scope), {})


async def policy_for(session: Session, host: str | None = None) -> Policy:
    """Read the policy that holds for the fleet, or for the workers of a host."""
    return (await all_policies(session)).of(host)


async def all_policies(session: Session) -> Policies:
    """Read what holds for the fleet and for each host that people set something for."""
    rows = (await session.execute(_READ)).all()
    learned: Settings = next((row.settings for row in rows if row.scope == "learned"), {})
    found = tuple(
        Override(row.scope, row.settings, row.by, row.reason, row.at) for row in rows if row.scope != "learned"
    )
    set_by_people = next((one.settings for one in found if one.scope == FLEET), {})
    return Policies(applied(_learned(learned), set_by_people), found, learned)


async def change(session: Session, changes: Settings, by: str, reason: str, host: str | None = None) -> Policies:
    """Change settings of the fleet or of a host (null takes one back), tell whom it concerns; gives what then holds.

    Raises `Problem` naming every setting that there is not, every value it may not have, and what contradicts.
    """
    await session.execute(_LOCK)
    present, scope = await all_policies(session), FLEET if host is None else scope_of(host)
    _refuse(misfits(changes, present.fleet, host=host is not None))
    wanted = merged(present.settings(scope), changes)
    fleet = laid(_learned(present.learned), wanted) if host is None else present.fleet
    _refuse(contradictions(fleet if host is None else laid(fleet, wanted)))
    for other in present.overrides:
        if host is None and other.host is not None:
            _refuse(contradictions(laid(fleet, other.settings)), f" (Together with the settings of {other.scope}.)")
    await _write(session, scope, wanted, by, reason)
    return await all_policies(session)


async def _write(session: Session, scope: str, settings: Settings, by: str, reason: str) -> None:
    if settings:
        row = {"scope": scope, "settings": to_json(settings).decode(), "by": by, "reason": reason}
        await session.execute(_WRITE, row)
    else:
        await session.execute(_REMOVE, {"scope": scope})
    await session.execute(_TELL, {"scope": scope})


def scope_of(host: str) -> str:
    """Name the scope of a host."""
    return f"host:{host}"


def _learned(cutoffs: Settings) -> Policy:
    return applied(POLICY, {"cutoffs": cutoffs})


def _refuse(found: list[Finding], beside: str = "") -> None:
    """Refuse changes, pointing into the request's `changes`."""
    if found:
        pointed = [Finding(one.code, f"/changes{one.field}", one.message + beside, one.remedy) for one in found]
        first = pointed[0]
        raise Problem("bad_input", first.message, field=first.field, remedy=first.remedy, findings=pointed)
