"""Which maintenance window keeps ops from being told of an incident; customers are told all the same."""

from collections.abc import Iterable
from datetime import datetime

from invoicing.incidents.model.causes import EVERYWHERE
from invoicing.incidents.model.incident import Incident
from invoicing.maintenance.model import Stage, Window, covers, stage_of


def silencing(incident: Incident, windows: Iterable[Window], at: datetime) -> Window | None:
    """Give the window in force that covers all that an incident is about; None: ops are told."""
    in_force = (one for one in windows if stage_of(one, at) is Stage.IN_FORCE)
    scopes = lanes_of(incident) or {EVERYWHERE}
    return next((one for one in in_force if all(covers(one, scope) for scope in scopes)), None)


def lanes_of(incident: Incident) -> frozenset[str]:
    """Name the lanes that an incident is about; none: it may be about all of them.

    That of a host is about the lanes that its workers serve. What was merged is about more than its scope says.
    """
    if incident.scope == EVERYWHERE or "findings" in incident.evidence:
        return frozenset()
    kind, _, name = incident.scope.partition(":")
    if kind == "lane":
        return frozenset({name})
    return frozenset(incident.evidence.get("lanes", ()))
