"""The flags of `plan`, read into questions: each refusal names the flag, the rule and the remedy."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from invoicing.cli.faults import USAGE, Fault
from invoicing.jobs.model import Size
from invoicing.kit.problems import Problem
from invoicing.lanes.model import Policy
from invoicing.lanes.model.overrides import contradictions, laid, misfits
from invoicing.plan.described import seconds
from invoicing.plan.model.changes import Change, faster, longer, longer_than, more, of_kind
from invoicing.plan.model.ladder import spoken
from invoicing.plan.model.scenario import Promise
from invoicing.plan.model.work import Death


def changes_of(
    rate: float | None,
    double: Sequence[str],
    scale: Sequence[str],
    larger: Sequence[str],
    stretch: Sequence[str],
) -> list[Change]:
    """Read what is to change in the load."""
    found = [more(of_kind(kind), 2.0, f"twice as many {kind} jobs") for kind in double]
    for text in scale:
        kind, factor = _factor("--scale", text, "KIND=2")
        found.append(more(of_kind(kind), factor, f"{factor:g} times as many {kind} jobs"))
    for text in larger:
        limit, factor = _factor("--scale-larger-than", text, "1h=2")
        limit_s = a_span("--scale-larger-than", limit)
        found.append(
            more(longer_than(limit_s), factor, f"{factor:g} times as many jobs that take over {spoken(limit_s)}")
        )
    for text in stretch:
        kind, factor = _factor("--longer", text, "KIND=2")
        found.append(longer(of_kind(kind), factor, f"{kind} jobs take {factor:g} times as long"))
    if rate is not None:
        if not 0.01 <= rate <= 100:
            raise Fault(
                f"--rate {rate:g} is not from 0.01 to 100.", "1.5 lets the same jobs come 1.5 times as fast.", USAGE
            )
        found.append(faster(rate, f"all jobs come {rate:g} times as fast"))
    return found


def promises_of(texts: Iterable[str]) -> list[Promise]:
    """Read promises: small=2s."""
    found = []
    for text in texts:
        name, _, time = text.partition("=")
        if name not in set(Size):
            raise Fault(
                f"--promise {text!r}: {name!r} is no size class.",
                f"Write CLASS=TIME, the class being one of {', '.join(Size)}: --promise small=2s.",
                USAGE,
            )
        found.append(Promise(Size(name), a_span("--promise", time)))
    return found


def policy_of(policy: Policy, texts: Sequence[str]) -> Policy:
    """Lay settings over a policy: reserve.large=0.25, as `PATCH /v1/scheduling` would take them."""
    settings: dict[str, Any] = {}
    for text in texts:
        path, mark, value = text.partition("=")
        if not mark:
            raise Fault(f"--set {text!r} has no value.", "Write SETTING=NUMBER: --set reserve.large=0.25.", USAGE)
        _put(settings, path.split("."), _number(text, value))
    wrong = misfits(settings, policy, host=False) or contradictions(laid(policy, settings))
    if wrong:
        raise Fault(f"--set {wrong[0].field.strip('/').replace('/', '.')}: {wrong[0].message}", wrong[0].remedy, USAGE)
    return laid(policy, settings)


def a_span(flag: str, text: str) -> float:
    """Read a time (seconds) that must be one."""
    found = seconds(text)
    if found is None or not found:
        raise Fault(f"{flag} {text!r} is no time.", "Write it like 300ms, 2s, 15m, 5h or 3d.", USAGE)
    return found


def deaths_of(texts: Sequence[str], workers: int) -> tuple[Death, ...]:
    """Read when workers die (30m), and when one like it is back (30m-45m); each takes the next worker."""
    if len(texts) > workers:
        raise Fault(
            f"--kill-worker is given {len(texts)} times, but there are {workers} workers.",
            "Give it once for each that dies, or more --workers.",
            USAGE,
        )
    found = []
    for worker, text in enumerate(texts):
        dies, mark, back = text.partition("-")
        at_s, back_s = a_span("--kill-worker", dies), a_span("--kill-worker", back) if mark else None
        if back_s is not None and back_s <= at_s:
            raise Fault(
                f"--kill-worker {text!r} is back before it dies.", "Write both as times since the beginning.", USAGE
            )
        found.append(Death(worker, at_s, back_s))
    return tuple(found)


def fleet_of(known: Sequence[int], workers: int | None, slots: int | None) -> tuple[int, ...]:
    """Give the slots of each worker: as many workers, and slots of each, as asked; else like those that are known."""
    for flag, count, most in (("--workers", workers, 1000), ("--slots", slots, 1000)):
        if count is not None and not 1 <= count <= most:
            raise Fault(f"{flag} {count} is not from 1 to {most}.", f"{flag} 4 is a common number.", USAGE)
    base = known or (4,)
    many = workers or len(base)
    return tuple(slots or base[place % len(base)] for place in range(many))


def kinds_named(double: Sequence[str], scale: Sequence[str], stretch: Sequence[str]) -> list[tuple[str, str]]:
    """List the kinds that flags ask about."""
    split = [("--scale", text.rpartition("=")[0]) for text in scale]
    split += [("--longer", text.rpartition("=")[0]) for text in stretch]
    return [("--double", kind) for kind in double] + split


def check_kinds(asked: Iterable[tuple[str, str]], there: Iterable[str]) -> None:
    """Refuse a question about a kind of which there is no job: its answer would look like "no difference"."""
    known = sorted(set(there))
    for flag, kind in asked:
        if kind not in known:
            raise Fault(
                f"{flag} {kind}: there is no job of that kind to plan with.",
                f"There are jobs of {', '.join(known) or 'no kind'}.",
                USAGE,
            )


def refused(flag: str, problem: Problem) -> Fault:
    """Say of a flag's text what is wrong in it."""
    return Fault(f"{flag}: {problem.detail}", problem.remedy, USAGE)


def _factor(flag: str, text: str, example: str) -> tuple[str, float]:
    name, _, number = text.rpartition("=")
    try:
        factor = float(number)
    except ValueError:
        factor = -1.0
    if not name or not 0 <= factor <= 1000:
        raise Fault(
            f"{flag} {text!r} does not say how many times as much.",
            f"Write it like {flag} {example} (0 to 1000).",
            USAGE,
        )
    return name, factor


def _put(settings: dict[str, Any], path: Sequence[str], value: object) -> None:
    for step in path[:-1]:
        below = settings.setdefault(step, {})
        if not isinstance(below, dict):
            return
        settings = below
    settings[path[-1]] = value


def _number(text: str, value: str) -> float:
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if isinstance(read, bool) or not isinstance(read, int | float):
        raise Fault(
            f"--set {text!r}: {value!r} is no number.", "Write SETTING=NUMBER: --set reserve.large=0.25.", USAGE
        )
    return read
