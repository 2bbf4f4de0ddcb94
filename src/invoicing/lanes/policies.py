"""The scheduling policy that holds now: defaults, what was learned, what people set for the fleet and for a host."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from invoicing.kit.db import Session
from invoicing.kit.problems import Finding, Problem
from invoicing.lanes import store
from invoicing.lanes.model import POLICY, Policy
from invoicing.lanes.model.overrides import Settings, applied, contradictions, laid, merged, misfits, slots_of
from invoicing.lanes.store import CHANGED, Override

FLEET = "fleet"
_HOST = "host:"


@dataclass(frozen=True)
class Policies:
    """What holds for the fleet and for each host, at one moment."""

    fleet: Policy = POLICY
    overrides: Mapping[str, Override] = field(default_factory=dict)
    """What people set, by scope."""
    learned: Settings = field(default_factory=dict)
    """The cut-offs that were learned from the load; what people set stands above them."""

    def of(self, host: str | None) -> Policy:
        """Give the policy of the workers of a host."""
        own = self.settings(scope_of(host)) if host else {}
        return applied(self.fleet, own) if own else self.fleet

    def slots(self, host: str) -> int | None:
        """How many slots each worker of a host offers; None: as it was started."""
        return slots_of(self.settings(scope_of(host)))

    def settings(self, scope: str) -> Settings:
        """Give what people set for a scope."""
        return self.overrides[scope].settings if scope in self.overrides else {}


async def policy_for(session: Session, host: str | None = None) -> Policy:
    """Read the policy that holds for the fleet, or for the workers of a host."""
    return (await all_policies(session)).of(host)


async def all_policies(session: Session) -> Policies:
    """Read what holds for the fleet and for each host that people set something for."""
    found, learned = await store.overrides(session)
    by_scope = {one.scope: one for one in found}
    people = by_scope[FLEET].settings if FLEET in by_scope else {}
    return Policies(applied(_learned(learned), people), by_scope, learned)


async def change(session: Session, changes: Settings, by: str, reason: str, host: str | None = None) -> Policies:
    """Change settings of the fleet or of a host (null takes one back), tell whom it concerns; gives what then holds.

    Raises `Problem` naming every setting that there is not, every value it may not have, and what contradicts.
    """
    await store.lock_overrides(session)
    present, scope = await all_policies(session), FLEET if host is None else scope_of(host)
    _refuse(misfits(changes, present.fleet, host=host is not None))
    wanted = merged(present.settings(scope), changes)
    fleet = laid(_learned(present.learned), wanted) if host is None else present.fleet
    _refuse(contradictions(fleet if host is None else laid(fleet, wanted)))
    for other in present.overrides.values():
        if host is None and other.scope != FLEET:
            _refuse(contradictions(laid(fleet, other.settings)), f" (Together with the settings of {other.scope}.)")
    await store.write_override(session, scope, wanted, by, reason)
    return await all_policies(session)


def scope_of(host: str) -> str:
    """Name the scope of a host."""
    return _HOST + host


def host_of(scope: str) -> str | None:
    """Give the host that a scope is for; None: the fleet."""
    return scope.removeprefix(_HOST) if scope.startswith(_HOST) else None


def _learned(cutoffs: Settings) -> Policy:
    return applied(POLICY, {"cutoffs": cutoffs})


def _refuse(found: list[Finding], beside: str = "") -> None:
    """Refuse changes, pointing into the request's `changes`."""
    if found:
        pointed = [Finding(one.code, f"/changes{one.field}", one.message + beside, one.remedy) for one in found]
        first = pointed[0]
        raise Problem("bad_input", first.message, field=first.field, remedy=first.remedy, findings=pointed)


__all__ = ["CHANGED", "FLEET", "Override", "Policies", "all_policies", "change", "host_of", "policy_for", "scope_of"]
