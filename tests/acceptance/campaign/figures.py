"""The figures of a campaign: faults by kind with the times to recover, jobs, answers, violations."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from .campaign import Result
from .checker import Violation, by_rule
from .faults import Happened
from .flood import Flooded


def recoveries(result: Result) -> dict[str, list[float]]:
    """Give, by kind of fault, how long after each (or after its end, where it lasted) a new small job was done.

    A job counts that was submitted after the fault, so a fault that follows close upon another is charged with both.
    """
    ended = {job.id: job.finished_at for job in result.seen.jobs if job.finished_at is not None}
    probes = [
        (probe.sent_at, min((ended[one] for one in probe.ids if one in ended), default=None))
        for probe in result.log.probes
    ]
    found: dict[str, list[float]] = {}
    for one in result.happened:
        after = [done for sent, done in probes if done is not None and sent >= one.until]
        if one.to and after:
            found.setdefault(one.kind, []).append(max(0.0, min(after) - one.until))
    return found


def reruns(result: Result) -> list[float]:
    """Give how long after the kill of its worker each attempt that was lost by it runs again, as the next one."""
    kills = [one for one in result.happened if one.to and one.kind in {"kill worker", "kill every worker"}]
    found = []
    for job in result.seen.jobs:
        for lost, again in pairwise(job.attempts):
            if lost.outcome == "lost" and (kill := _kill_of(kills, lost.started_at, lost.ended_at)) is not None:
                found.append(again.started_at - kill.since)
    return found


def _kill_of(kills: Sequence[Happened], started: float, ended: float | None) -> Happened | None:
    """Find the last kill while an attempt ran; where several workers were killed, the one closest to its rescue."""
    return next((kill for kill in reversed(kills) if ended is not None and started <= kill.since <= ended), None)


def table(result: Result, found: Sequence[Violation]) -> str:
    """Write all of it for people."""
    return "\n".join([*_faults(result), "", *_work(result), *_flood(result.flooded), "", *_violations(found)])


def _faults(result: Result) -> Iterator[str]:
    times = recoveries(result)
    counts = Counter(one.kind for one in result.happened if one.to)
    missed = sum(not one.to for one in result.happened)
    yield f"{'fault':<32}{'times':>6}   until a new job is done (s): median, longest"
    for kind, number in sorted(counts.items()):
        took = times.get(kind, [])
        yield f"{kind:<32}{number:>6}   {quantile(took, 0.5):>8.2f} {quantile(took, 1.0):>8.2f}"
    everything = [one for took in times.values() for one in took]
    yield (
        f"{'all':<32}{sum(counts.values()):>6}   {quantile(everything, 0.5):>8.2f} {quantile(everything, 1.0):>8.2f}"
        f"   (p99 {quantile(everything, 0.99):.2f}; {missed} more met nobody)"
    )
    again = reruns(result)
    yield (
        f"attempts lost with a killed worker: {len(again)}; running again after (s): "
        f"median {quantile(again, 0.5):.2f}, p99 {quantile(again, 0.99):.2f}, longest {quantile(again, 1.0):.2f}"
    )


def _work(result: Result) -> Iterator[str]:
    seen = result.seen
    states = Counter((job.kind, job.state) for job in seen.jobs)
    yield "jobs: " + ", ".join(f"{kind} {state} {number}" for (kind, state), number in sorted(states.items()))
    outcomes = Counter(one.outcome or "open" for job in seen.jobs for one in job.attempts)
    yield "attempts: " + ", ".join(f"{outcome} {number}" for outcome, number in sorted(outcomes.items()))
    answers = Counter(str(one.status or one.detail) for one in seen.answers)
    yield "answers: " + ", ".join(f"{status} {number}" for status, number in sorted(answers.items()))
    took = [one.took for one in seen.answers if one.status is not None]
    yield (
        f"an answer took (s): median {quantile(took, 0.5):.3f}, p99 {quantile(took, 0.99):.2f}, "
        f"longest {quantile(took, 1.0):.1f}"
    )
    issued = sum(any(file.number for file in job.files) for job in seen.jobs)
    yield f"invoices issued: {issued}; files compared: {sum(len(job.files) for job in seen.jobs)}"
    yield f"all had ended {result.quiet_after:.1f} s after the last fault (seed {result.terms.seed})"


def _flood(flooded: Flooded | None) -> Iterator[str]:
    if flooded is not None:
        yield (
            f"FLUSHALL with {flooded.jobs} jobs waiting: {flooded.in_redis} tickets forgotten, the last of them began "
            f"after {flooded.all_began_after:.1f} s; run twice: {flooded.ran_twice}, not ended: {flooded.unfinished}"
        )


def _violations(found: Sequence[Violation]) -> Iterator[str]:
    yield "violations: " + ", ".join(f"{rule} {number}" for rule, number in by_rule(found).items())
    for one in found[:40]:
        yield f"  {one.rule}: {one.about} {one.what}"
    if len(found) > 40:
        yield f"  and {len(found) - 40} more"


def quantile(values: Sequence[float], share: float) -> float:
    """Give the smallest value that `share` of all do not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]
