"""What `plan` answers, in words and tables for people and as one JSON document for programs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from invoicing.jobs.model import Size
from invoicing.lanes.model import SIZES
from invoicing.plan.model.answer import Answer, Told
from invoicing.plan.model.ladder import P99_NEEDS, spoken
from invoicing.plan.model.report import Refusals, Row
from invoicing.plan.model.scenario import Kept
from invoicing.plan.model.search import MOST_SLOTS, Found


@dataclass(frozen=True)
class How:
    """How it was simulated, so that a reader can judge and repeat it."""

    source: str
    notes: tuple[str, ...]
    seed: int
    runs: int

    def line(self) -> str:
        """Say it in a line."""
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        return f"{self.source}; the service's own policy in virtual time; {runs}, seed {self.seed}"


def headline(found: Answer) -> str:
    """Say what was asked."""
    says = found.told[-1].asked.says
    return f"What if: {', '.join(says)}" if says else f"Today, with {fleet_text(found.told[0].report.slots)}"


def legend(told: Told) -> str:
    """Name a scenario with its fleet."""
    return f"{told.asked.name}: {fleet_text(told.report.slots)}"


def fleet_text(slots: Sequence[int]) -> str:
    """Say how many workers have how many slots."""
    parts = [(len(list(same)), each) for each, same in groupby(sorted(slots, reverse=True))]
    return " + ".join(f"{_count(many, 'worker')} of {_count(each, 'slot')}" for many, each in parts)


def answered(found: Answer, how: How) -> Iterator[RenderableType]:
    """Say all of it for people."""
    yield Text(headline(found), style="bold")
    yield Text(f"Simulated: {how.line()}.")
    yield ""
    yield _table(found.told)
    yield ""
    for told in found.told:
        yield Text(_fleet_sentence(told))
        yield from (Text(_refusal_sentence(told, one)) for one in told.report.refusals)
    if found.promises:
        yield ""
        for told in found.told:
            yield from (_promise_line(told, kept) for kept in told.kept)
        yield Text(_fewest_sentence(found), style="bold")
    yield ""
    yield from (Text(note, style="bright_black") for note in (*how.notes, *_reading(found.told)))


def document(found: Answer, how: How) -> dict[str, Any]:
    """Say all of it for programs: times in seconds, null where something never happens."""
    document = {
        "asked": headline(found),
        "simulated": {"jobs": how.source, "seed": how.seed, "runs": how.runs, "notes": list(how.notes)},
        "scenarios": [
            {
                "name": told.asked.name,
                "changes": list(told.asked.says),
                "workers": list(told.report.slots),
                "quotas": dict(told.report.quotas),
                "cutoffs": asdict(told.report.cutoffs),
                "reserve": dict(told.asked.scenario.policy.reserve),
                "jobs": told.report.jobs,
                "never_ended": told.report.never,
                "lasted_s": told.report.lasted_s,
                "used": told.report.used,
                "idle_while_waiting": told.report.idle_while_waiting,
                "admission": told.asked.scenario.admission is not None,
                "refused": [_refusals_document(one) for one in told.report.refusals],
                "classes": [_row_document(row) for row in told.report.rows],
                "promises": [_kept_document(kept) for kept in told.kept],
            }
            for told in found.told
        ],
        "fewest_slots": _found_document(found.fewest) if found.fewest else None,
    }
    finite: dict[str, Any] = _finite(document)
    return finite


def _table(told: Sequence[Told]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1))
    for column in ("class", "priority", ""):
        table.add_column(column, no_wrap=True)
    for column in ("jobs", "half wait", "9 in 10", "99 of 100", "(of the runs)", "longest", "slowdown", "can promise"):
        table.add_column(column, justify="right", no_wrap=True)
    keys = sorted({(SIZES.index(row.size), row.priority or "") for one in told for row in one.report.rows})
    for place, priority in keys:
        for number, one in enumerate(told):
            row = next((row for row in one.report.rows if _key(row) == (place, priority)), None)
            first = [SIZES[place], priority or "all"] if number == 0 else ["", ""]
            table.add_row(*first, one.asked.name if len(told) > 1 else "", *_cells(row))
    return table


def _key(row: Row) -> tuple[int, str]:
    return SIZES.index(row.size), row.priority or ""


def _cells(row: Row | None) -> list[str]:
    if row is None:
        return ["0", *["-"] * 7]
    low, high = (spoken(one) for one in row.p99_between)
    about = "~" if row.few else ""
    jobs = f"{row.jobs:,}" + (f" ({row.refused:,} refused)" if row.refused else "")
    return [
        jobs,
        spoken(row.wait.p50),
        spoken(row.wait.p90),
        about + spoken(row.wait.p99),
        "" if low == high else f"{low} to {high}",
        spoken(row.wait.most),
        f"{about}{row.slowdown_p99:.1f}" if math.isfinite(row.slowdown_p99) else "never",
        about + spoken(row.promise_s),
    ]


def _fleet_sentence(told: Told) -> str:
    report = told.report
    quotas = ", ".join(f"{size} {report.quotas[size]}" for size in SIZES)
    sentence = (
        f"{legend(told)}; with the spare ones, a class or larger may take: {quotas}. {report.used:.0%} of the slot "
        f"time was used, in {report.idle_while_waiting:.1%} a slot was idle although a job waited. The last job ended "
        f"after {spoken(report.lasted_s)}."
    )
    never = f" {_count(report.never, 'job')} never ended." if report.never else ""
    return sentence[0].upper() + sentence[1:] + never


def _refusal_sentence(told: Told, one: Refusals) -> str:
    jobs, share = _count(one.jobs, f"{one.priority} job"), math.ceil(1000 * one.refused / one.jobs) / 10
    again = f"{spoken(one.retry_after_p50)} (half; 9 in 10: {spoken(one.retry_after_p90)})"
    sentence = (
        f"{told.asked.name}: of {jobs} {one.refused:,} were refused ({share:.1f} %), told to come again after {again}"
    )
    if not one.followed:
        return f"{sentence}."
    return (
        f"{sentence}; that was within {spoken(one.off_p50)} (half; 9 in 10: {spoken(one.off_p90)}) of when they would "
        f"have been taken in ({one.followed:,} followed)."
    )


def _promise_line(told: Told, kept: Kept) -> Text:
    row = told.report.row(kept.promise.size)
    promise = f"{kept.promise.size} within {spoken(kept.promise.within_s)}"
    if row is None:
        return Text(f"{told.asked.name}: {promise}: there are no such jobs.")
    line = Text(f"{told.asked.name}: {promise}: ")
    if kept.is_kept:
        return line.append("kept", style="green").append(f" for {_share(kept.share)} of them.")
    needed = f"; 99 of 100 end within {spoken(row.ended_p99)}" if math.isfinite(row.ended_p99) else ""
    return line.append("broken", style="red").append(f": kept for {_share(kept.share)} of them{needed}.")


def _fewest_sentence(found: Answer) -> str:
    asked = found.told[-1].asked.name
    if found.fewest is None:
        return f"Not even {MOST_SLOTS} slots keep that for 99 of 100 ({asked}): the work alone takes longer."
    best = found.fewest
    reserve = ", ".join(f"{size} {best.policy.reserve[size]:g}" for size in SIZES[1:])
    own = best.policy.reserve == found.told[-1].asked.scenario.policy.reserve
    setting = "with the policy as it is" if own else f"with another reserve ({reserve})"
    return (
        f"The fewest slots that keep it ({asked}): {best.slots}, as {fleet_text(best.fleet.workers)}, {setting}; "
        f"with fewer it was broken ({best.tried} fleets and policies tried)."
    )


def _reading(told: Sequence[Told]) -> Iterator[str]:
    cutoffs = told[-1].report.cutoffs
    limits = ", ".join(f"{size} {spoken(cutoffs.limit(size) or 0)}" for size in (Size.SMALL, Size.MEDIUM, Size.LARGE))
    yield (
        f"A class is what a job really took (up to: {limits}), whatever it was taken for. Waits are from acceptance to "
        "the first start; slowdown (time to the end / work) and promise (a round time to the end) are of 99 of 100."
    )
    if any(row.few for one in told for row in one.report.rows):
        yield f"~ fewer than {P99_NEEDS} jobs: 99 of 100 is then near the longest, and another run may differ widely."


def _row_document(row: Row) -> dict[str, Any]:
    return {
        "size": row.size,
        "priority": row.priority,
        "jobs": row.jobs,
        "refused": row.refused,
        "wait_s": {"p50": row.wait.p50, "p90": row.wait.p90, "p99": row.wait.p99, "max": row.wait.most},
        "wait_p99_of_runs_s": list(row.p99_between),
        "slowdown_p99": row.slowdown_p99,
        "ended_p99_s": row.ended_p99,
        "promise_s": row.promise_s,
        "few": row.few,
    }


def _refusals_document(one: Refusals) -> dict[str, Any]:
    return {
        "priority": one.priority,
        "jobs": one.jobs,
        "refused": one.refused,
        "retry_after_s": {"p50": one.retry_after_p50, "p90": one.retry_after_p90},
        "followed": one.followed,
        "retry_after_off_s": {"p50": one.off_p50, "p90": one.off_p90},
    }


def _kept_document(kept: Kept) -> dict[str, Any]:
    told = {"size": kept.promise.size, "within_s": kept.promise.within_s}
    return told | {"share": kept.share, "jobs": kept.jobs, "kept": kept.is_kept}


def _found_document(found: Found) -> dict[str, Any]:
    return {
        "slots": found.slots,
        "workers": list(found.fleet.workers),
        "reserve": dict(found.policy.reserve),
        "promises": [_kept_document(kept) for kept in found.kept],
        "tried": found.tried,
    }


def _finite(value: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _finite(part) for key, part in value.items()}
        case list():
            return [_finite(part) for part in value]
        case _:
            return value


def _share(share: float) -> str:
    """Never round a broken promise up to a kept one."""
    return f"{math.floor(share * 1000) / 10:.1f} %" if share < 1 else "all"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
