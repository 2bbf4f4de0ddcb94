"""The policy itself in virtual time: the story, the heavy tail, floods and overloads, beside other policies.

Medians over seeds. Small and large (with huge) go by what a job really takes. A worker has as many cores as slots; what
runs beyond (the spare slot) shares them by the weights of the operating system, and everybody is slowed down by it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median

from benchmarks.loads import FLOOD_AT_S, FLOOD_UNTIL_S, burst, flood, heavy_tail, story, urgent_overload
from benchmarks.references import fifo, fixed_lanes, shortest_remaining
from benchmarks.report import Table

from invoicing.jobs.model import Priority, Size
from invoicing.lanes.model import POLICY, SIZES, Policy
from invoicing.plan.model.simulation import Admission, Ended, Fleet, Work, simulate

SEEDS = (1, 2, 3)
HEAVY_TAIL_JOBS = 30_000
OVERLOAD_S = 7_200.0
NEVER_S = 1e12

NEVER_YIELDS = replace(POLICY, least_run_s=NEVER_S, turn_s=dict.fromkeys(SIZES, NEVER_S))
"""Re-classed on overrun as ever, but what runs runs to its end."""

PROMISE_S = {Size.SMALL: 30.0, Size.MEDIUM: 60.0, Size.LARGE: 600.0, Size.HUGE: 7_200.0}


@dataclass(frozen=True)
class Figures:
    """What is held against the bars."""

    small_p99_s: float
    small_max_s: float
    mean_slowdown: float
    large_slowdown_p99: float
    idle: float = 0.0


def quantile(values: Iterable[float], share: float) -> float:
    """Give the smallest value that this share does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def run() -> Table:
    """Play everything through."""
    table = Table(
        "Simulated with the real policy code",
        ["load", "policy", "small p99 wait", "small max", "mean slowdown", "large p99 slowdown", "idle"],
    )
    _stories(table)
    _heavy_tails(table)
    _floods(table)
    _bulk(table)
    _burst(table)
    return table


def _stories(table: Table) -> None:
    for slots, lies, lasts_s in ((1, False, 26_000.0), (2, True, 3_600.0), (8, True, 900.0)):
        who = f"story k={slots}, {slots} of 5 h{' that lie' if lies else ''}"
        for name, policy in (("ours", POLICY), ("no spare slot", replace(POLICY, spare=0))):
            seeds = SEEDS if policy is POLICY else SEEDS[:1]
            made = [
                _of_simulation(story(slots, seed, lies=lies, lasts_s=lasts_s), Fleet((slots,)), policy)
                for seed in seeds
            ]
            found = _row(table, who, name, made)
            table.bar(f"s, small p99 wait, {who}, {name}", found.small_p99_s, at_most=2.0)
            if slots == 1:
                table.bar(f"x its own time, the large job, {who}, {name}", found.large_slowdown_p99, at_most=1.6)
        _row(table, who, "fifo", [_of(fifo(story(slots, 1, lies=lies, lasts_s=lasts_s), slots))])


def _heavy_tails(table: Table) -> None:
    bars = {8: (0.27, 1.3, 1.6, 0.04), 2: (1.2, None, 4.0, None)}
    for slots, (small, mean, large, idle) in bars.items():
        loads = [heavy_tail(slots, HEAVY_TAIL_JOBS, seed) for seed in SEEDS]
        who = f"heavy tail k={slots}"
        found = _row(table, who, "ours", [_of_simulation(work, Fleet((slots,)), POLICY) for work in loads])
        _row(table, who, "nothing yields", [_of_simulation(work, Fleet((slots,)), NEVER_YIELDS) for work in loads[:2]])
        others: dict[str, Callable[[Sequence[Work], int], list[Ended]]] = {
            "fifo": fifo,
            "fixed lanes": fixed_lanes,
            "clairvoyant SRPT": shortest_remaining,
        }
        for name, reference in others.items():
            _row(table, who, name, [_of(reference(work, slots)) for work in loads])
        table.bar(f"s, small p99 wait, {who}", found.small_p99_s, at_most=small)
        table.bar(f"large p99 slowdown, {who}", found.large_slowdown_p99, at_most=large)
        if mean is not None and idle is not None:
            table.bar(f"mean slowdown, {who}", found.mean_slowdown, at_most=mean)
            table.bar(f"% of slots idle while work waits, {who}", found.idle * 100, at_most=idle * 100)
        _without_checkpoints(table, slots, found)


def _without_checkpoints(table: Table, slots: int, all_stop: Figures) -> None:
    """Play the same jobs when half of them cannot stop: asked, then set aside, as kinds of two sorts bear it."""
    who = f"heavy tail k={slots}"
    for how, freezes in (("frozen", True), ("re-niced", False)):
        fleet, name = Fleet((slots,), freezes=freezes), f"ours, half without checkpoints, {how}"
        loads = [heavy_tail(slots, HEAVY_TAIL_JOBS, seed, cannot=0.5) for seed in SEEDS]
        found = _row(table, who, name, [_of_simulation(work, fleet, POLICY) for work in loads])
        beside = found.small_p99_s / all_stop.small_p99_s
        table.bar(f"x the small p99 wait with checkpoints everywhere, {who}, {name}", beside, at_most=2.0)


def _floods(table: Table) -> None:
    cases: dict[str, tuple[float, dict[str, int | Priority]]] = {
        "one customer": (0.3, {}),
        "all urgent": (0.3, {"priority": Priority.URGENT}),
        "over 10 keys": (0.3, {"keys": 10}),
        "over 10 customers": (1.5, {"customers": 10}),
    }
    for name, (bar, how) in cases.items():
        p99s, maxima = [], []
        for seed in SEEDS:
            work = flood(seed, **how)  # type: ignore[arg-type]  # each name has its own type
            outcome = simulate(work, Fleet((8,)), POLICY, until_s=FLOOD_UNTIL_S)
            others = [one for one in outcome.jobs if one.work.customer.startswith("other")]
            waits = [_wait(one, FLOOD_UNTIL_S) for one in others if one.work.at_s >= FLOOD_AT_S]
            p99s.append(quantile(waits, 0.99))
            maxima.append(max(waits))
        found = median(p99s)
        table.add(f"50,000 at once, {name}", "ours", f"{found:.3f} s", f"{median(maxima):.1f} s", "", "", "")
        table.bar(f"s, the others' p99 wait (all classes), 50,000 at once, {name}", found, at_most=bar)


def _bulk(table: Table) -> None:
    """Wait until nothing changes any more: when the second hour is like the first, so is a month."""
    slots, share = 2, POLICY.priority_share[Priority.BULK]
    for offered in (0.5 * share, 10 * share):
        name = f"urgent load 1.2, bulk {offered:g}"
        work = urgent_overload(1, slots=slots, lasts_s=OVERLOAD_S, bulk=offered)
        outcome = simulate(work, Fleet((slots,)), POLICY, until_s=OVERLOAD_S)
        served = sum(s for (_, priority, _), s in outcome.served_s.items() if priority is Priority.BULK)
        part = served / outcome.slots_s
        waits = [(one.work.at_s, _wait(one, OVERLOAD_S)) for one in outcome.chosen(priority=Priority.BULK)]
        first, second = (
            quantile((wait for at_s, wait in waits if low <= at_s < high), 0.99)
            for low, high in ((0.1 * OVERLOAD_S, 0.5 * OVERLOAD_S), (0.5 * OVERLOAD_S, OVERLOAD_S))
        )
        longest = max(wait for _, wait in waits)
        halves = f"bulk p99 {first:.0f}, {second:.0f} s"
        table.add(name, "ours", halves, f"{longest:.0f} s", "", "", f"bulk gets {part:.1%}")
        due = min(offered, share)
        table.bar(f"of its guaranteed share that bulk gets, {name}", part / due, at_least=0.95)
        if offered < share:
            table.bar(f"p99 wait of bulk, second half / first half, {name}", second / first, at_most=1.5)


def _burst(table: Table) -> None:
    for name, limited in (("ours", False), ("ours with admission", True)):
        outcome = simulate(burst(1, slots=8), Fleet((8,)), POLICY, admission=Admission(PROMISE_S) if limited else None)
        for priority in Priority:
            jobs = outcome.chosen(priority=priority)
            small, larger = (
                quantile(
                    (one.wait_s for one in jobs if one.wait_s is not None and (one.work.size_s <= 1.0) is is_small),
                    0.99,
                )
                for is_small in (True, False)
            )
            refused = sum(one.work.size_s for one in jobs if one.refused) / sum(one.work.size_s for one in jobs)
            waits = f"{priority} {small:.2f} s, medium {larger:.0f} s"
            table.add("burst at 140 %", name, waits, "", "", "", f"refused work {refused:.1%}")


def _wait(one: Ended, until_s: float) -> float:
    """Count the wait so far of what has not started: leaving it out would flatter."""
    return (until_s if one.started_s is None else one.started_s) - one.work.at_s


def _of_simulation(work: Sequence[Work], fleet: Fleet, policy: Policy) -> Figures:
    outcome = simulate(work, fleet, policy)
    return replace(_of(outcome.jobs), idle=outcome.idle_while_waiting)


def _of(jobs: Sequence[Ended]) -> Figures:
    cutoffs = POLICY.cutoffs
    small = [one.wait_s or 0.0 for one in jobs if one.work.size_s <= cutoffs.small_s]
    large = [one.slowdown or 0.0 for one in jobs if one.work.size_s > cutoffs.medium_s]
    return Figures(quantile(small, 0.99), max(small), fmean(one.slowdown or 0.0 for one in jobs), quantile(large, 0.99))


def _row(table: Table, load: str, policy: str, runs: Sequence[Figures]) -> Figures:
    found = Figures(
        median(one.small_p99_s for one in runs),
        median(one.small_max_s for one in runs),
        median(one.mean_slowdown for one in runs),
        median(one.large_slowdown_p99 for one in runs),
        median(one.idle for one in runs),
    )
    table.add(
        load, policy, f"{found.small_p99_s:.2f} s", f"{found.small_max_s:.1f} s", f"{found.mean_slowdown:.2f}",
        f"{found.large_slowdown_p99:.2f}", f"{found.idle:.1%}",
    )  # fmt: skip
    return found
