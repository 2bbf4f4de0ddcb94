"""Whether the service kept its promise in a drill: a rule over what was measured."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import inf

from invoicing.cli.drill_measures import Measured, Witness
from invoicing.cli.drill_promises import RESCUED, RETRYING, Drill

_SLOW_ENOUGH = 3.0
"""A disk that syncs less than this many times slower proves nothing about slow disks."""


class Outcome(StrEnum):
    """What a drill showed."""

    KEPT = "kept"
    NOT_KEPT = "not kept"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True)
class Verdict:
    """The outcome, the bound that it was judged by (seconds), and every reason against it."""

    outcome: Outcome
    bound_s: float
    reasons: tuple[str, ...] = ()


def judge(drill: Drill, measured: Measured, within_s: float | None = None) -> Verdict:
    """Judge a drill by its own bound, or by another one."""
    bound = drill.bound(measured.workers, measured.lease_s) if within_s is None else within_s
    reasons = (*_of_witnesses(measured), *_of_times(drill, measured, bound))
    if reasons:
        return Verdict(Outcome.NOT_KEPT, bound, reasons)
    if measured.slowdown is not None and measured.slowdown < _SLOW_ENOUGH:
        why = f"the disk took only {measured.slowdown:.1f} times as long to sync: it has reserves, or is no disk"
        return Verdict(Outcome.NOT_PROVEN, bound, (why,))
    return Verdict(Outcome.KEPT, bound)


def _of_witnesses(measured: Measured) -> Iterator[str]:
    for witness in measured.witnesses:
        yield from _of_witness(witness)
    lost = [one for one in measured.witnesses if _is_rescued(one, before=measured.blow.at)]
    if lost:
        yield f"job {lost[0].job_id} was taken from a worker that lived, before anything was broken"
    touched = [one for one in measured.witnesses if one.job_id in measured.spared and _is_rescued(one)]
    if touched:
        yield f"job {touched[0].job_id} was taken from a worker that lived"
    if measured.jobs is None:
        yield "the list of jobs cannot be read"
    elif measured.jobs != len(measured.witnesses):
        yield f"{len(measured.witnesses)} jobs were asked for, and the ledger has {measured.jobs}"
    rude = [one for one in measured.refusals if not one.polite]
    if rude:
        yield f"{len(rude)} submits were refused otherwise than by 503 with Retry-After, first: {rude[0].words}"


def _is_rescued(witness: Witness, before: float = inf) -> bool:
    return any(event.name == RESCUED and event.at < before for event in witness.events)


def _of_witness(witness: Witness) -> Iterator[str]:
    name = f"job {witness.job_id or witness.key}"
    if witness.job_id is None:
        yield f"{name} was never accepted"
        return
    ends = [event.name for event in witness.ends]
    if not ends:
        yield f"{name} did not end"
    elif ends != ["succeeded"]:
        yield f"{name} ended as {', '.join(ends)} instead of succeeding once"
    if witness.replayed_id != witness.job_id:
        yield f"{name} is job {witness.replayed_id} when asked for again under its key"


def _of_times(drill: Drill, measured: Measured, bound: float) -> Iterator[str]:
    took = measured.recovered_s
    if took is None:
        yield "no job that was asked for after the fault was done"
    elif took > bound:
        yield f"it worked again after {took:.1f} s, not within {bound:g} s"
    if drill.detected_in and measured.detected(drill.detected_in) is None:
        yield f"the service did not notice (looked for: {', '.join(sorted(drill.detected_in))})"
    if drill.undisturbed and (lost := measured.detected(frozenset({RESCUED, RETRYING}))):
        yield f"work was lost although every worker lived ({lost.what})"
