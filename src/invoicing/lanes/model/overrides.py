"""Changes to the scheduling policy as people write them: which settings there are, which values they may have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any

from invoicing.kit.problems import Finding
from invoicing.lanes.model.policy import Cutoffs, Policy

Settings = Mapping[str, Any]
"""Part of a policy as JSON: `{"spare": 2, "cutoffs": {"small_s": 0.5}}`."""

SLOTS = "slots"
"""The one setting that a host has and the fleet has not: how many slots each of its workers offers."""

OF_A_HOST = frozenset({SLOTS, "reserve", "spare", "quantum_s", "turn_s"})
"""What a host may have otherwise than the fleet; order, classes and the runway belong to all."""

_MOST_SLOTS = 1_024
_LONGEST_S = 30 * 86_400.0


@dataclass(frozen=True)
class _Bounds:
    """Which numbers a setting may be, and why others make no sense."""

    low: float
    high: float
    why: str

    def allow(self, value: float) -> bool:
        """Whether a number lies within."""
        return self.low <= value <= self.high


_SECONDS = _Bounds(0.0, _LONGEST_S, "seconds, at most 30 days")
_BOUNDS: Mapping[str, _Bounds] = {
    "cutoffs": _Bounds(0.001, _LONGEST_S, "seconds of predicted work"),
    "reserve": _Bounds(0.0, 0.9, "a share of a worker's slots; what is left must still do larger work"),
    "size_share": _Bounds(0.0, 0.3, "a share of the service; the shares of all classes must leave most of it to order"),
    "priority_share": _Bounds(0.0, 0.3, "a share of the service; all together must leave most of it to order"),
    "spare": _Bounds(0, 16, "slots beside the pool of each worker"),
    "quantum_s": _Bounds(0.05, 3_600.0, "seconds; below 0.05 nothing gets done between two checkpoints"),
    "turn_s": _Bounds(0.05, 86_400.0, "seconds; below 0.05 nothing gets done between two checkpoints"),
    "runway_s": _Bounds(0.0, 60.0, "seconds of work per slot; more would put order and pauses off"),
    "patience": _Bounds(0.01, 1_000.0, "how many times its promise a new job's predicted wait may be"),
    "max_waiting": _Bounds(1, 10_000_000, "waiting jobs of a customer"),
    SLOTS: _Bounds(1, _MOST_SLOTS, "slots of each worker of the host"),
}
"""By the first step of a setting's path; what is not named here is a time."""


def as_settings(policy: Policy) -> dict[str, Any]:
    """Write a whole policy as JSON."""
    return {field.name: _plain(getattr(policy, field.name)) for field in fields(policy)}


def merged(settings: Settings, changes: Settings) -> dict[str, Any]:
    """Apply changes as a JSON merge patch (RFC 7396): null takes a setting back, objects are merged."""
    found = dict(settings)
    for name, change in changes.items():
        if change is None:
            found.pop(name, None)
        elif isinstance(change, Mapping):
            below = found.get(name)
            inner = merged(below if isinstance(below, Mapping) else {}, change)
            if inner:
                found[name] = inner
            else:
                found.pop(name, None)
        else:
            found[name] = change
    return found


def applied(policy: Policy, settings: Settings) -> Policy:
    """Give the policy with settings laid over it.

    Passes over what this build does not know or could not work with: settings outlive the build that checked them.
    """
    changed = laid(policy, settings)
    return policy if contradictions(changed) else changed


def laid(policy: Policy, settings: Settings) -> Policy:
    """Lay settings over a policy, whether or not the whole then makes sense."""
    changes = {
        field.name: _laid(getattr(policy, field.name), settings.get(field.name), _bounds(field.name))
        for field in fields(policy)
    }
    return replace(policy, **changes)


def misfits(changes: Settings, policy: Policy, *, host: bool) -> list[Finding]:
    """Say which changes to the settings of the fleet, or of a `host`, name none or give it a value it may not have."""
    known = as_settings(policy)
    if host:
        known = {name: value for name, value in known.items() if name in OF_A_HOST} | {SLOTS: 1}
    return list(_misfits(changes, known, "", "", host=host))


def contradictions(policy: Policy) -> list[Finding]:
    """Say where settings that are fine one by one make no sense together."""
    found = []
    cuts, shares = policy.cutoffs, list(policy.reserve.values())
    if not cuts.small_s < cuts.medium_s < cuts.large_s:
        given = f"{cuts.small_s:g}, {cuts.medium_s:g}, {cuts.large_s:g}"
        remedy = "Let small_s < medium_s < large_s."
        found.append(Finding("order", "/cutoffs", f"The cut-offs {given} do not rise.", remedy))
    if shares != sorted(shares):
        remedy = "Let the reserve not fall from small to huge."
        found.append(Finding("order", "/reserve", "A larger class would have more slots than a smaller one.", remedy))
    return found


def slots_of(settings: Settings) -> int | None:
    """Read how many slots a host's workers are to offer; None: as they were started."""
    value = settings.get(SLOTS)
    return value if isinstance(value, int) and _bounds(SLOTS).allow(value) and not isinstance(value, bool) else None


def _bounds(name: str) -> _Bounds:
    return _BOUNDS.get(name, _SECONDS)


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field of a policy
    if isinstance(value, Cutoffs):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return value


def _laid(present: Any, change: Any, bounds: _Bounds) -> Any:  # noqa: ANN401 - as above
    """Lay one change over a value of a policy; what does not fit leaves it as it is."""
    if isinstance(present, Cutoffs) and isinstance(change, Mapping):
        names = [field.name for field in fields(present)]
        return replace(present, **{name: _laid(getattr(present, name), change.get(name), bounds) for name in names})
    if isinstance(present, Mapping) and isinstance(change, Mapping):
        return {name: _laid(inner, change.get(str(name)), bounds) for name, inner in present.items()}
    return change if _number(change, whole=isinstance(present, int)) and bounds.allow(change) else present


def _number(value: object, *, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (not whole and isinstance(value, float) and isfinite(value))


def _misfits(changes: Settings, known: Settings, path: str, top: str, *, host: bool) -> Iterator[Finding]:
    for name, change in changes.items():
        where, first = f"{path}/{name}", top or name
        if name not in known:
            yield _unknown(where, name, known, host=host)
        elif isinstance(known[name], Mapping):
            if isinstance(change, Mapping):
                yield from _misfits(change, known[name], where, first, host=host)
            elif change is not None:
                yield Finding("shape", where, f"{name} is an object.", f"Its members are {', '.join(known[name])}.")
        elif change is not None:
            yield from _wrong_number(change, where, _bounds(first), whole=isinstance(known[name], int))


def _unknown(where: str, name: str, known: Settings, *, host: bool) -> Finding:
    if name == SLOTS and not host:
        return Finding("scope", where, "Slots are set for a host, not for the fleet.", "Name the host.")
    if host and name in {field.name for field in fields(Policy)}:
        remedy = f"Leave `host` out; a host has {', '.join(known)}."
        return Finding("scope", where, f"{name} is set for the fleet, not for a host.", remedy)
    return Finding("unknown_setting", where, f"There is no setting {name!r}.", f"There are {', '.join(known)}.")


def _wrong_number(change: object, where: str, bounds: _Bounds, *, whole: bool) -> Iterator[Finding]:
    kind = "a whole number" if whole else "a number"
    if not _number(change, whole=whole):
        yield Finding("type", where, f"{change!r} is not {kind}.", f"Give {kind}: {bounds.why}.")
    elif isinstance(change, int | float) and not bounds.allow(change):
        limits = f"from {bounds.low:g} to {bounds.high:g}"
        yield Finding("range", where, f"{change!r} is not {limits}.", f"Give {kind} {limits}: {bounds.why}.")
