"""What a drill found, for people (a short table and a sentence) and for programs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from invoicing.cli.drill_measures import Measured, Sign
from invoicing.cli.drill_promises import Drill
from invoicing.cli.drill_verdict import Outcome, Verdict
from invoicing.cli.wording import span

_COLOURS = {Outcome.KEPT: "green", Outcome.NOT_KEPT: "red", Outcome.NOT_PROVEN: "yellow"}


def table(drill: Drill, measured: Measured) -> Table:
    """Make the table; times count from the fault."""
    shown = Table(title=drill.name, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("measured", "after", "seen"):
        shown.add_column(column, justify="right" if column == "after" else "left", no_wrap=column != "seen")
    for what, at, seen in _rows(drill, measured):
        shown.add_row(what, "-" if at is None else span(max(0.0, at - measured.blow.at)), escape(seen))
    return shown


def _rows(drill: Drill, measured: Measured) -> Iterator[tuple[str, float | None, str]]:
    yield "broken", measured.blow.at, measured.blow.what
    yield _sign("first sign", measured.first_sign)
    if drill.detected_in:
        yield _sign("detected", measured.detected(drill.detected_in))
    if measured.healed_at > measured.blow.at:
        slower = "" if measured.slowdown is None else f"; a sync took {measured.slowdown:.1f} times as long meanwhile"
        yield "mended", measured.healed_at, f"by the drill{slower}"
    if measured.runs_again_at is not None:
        yield "old work runs", measured.runs_again_at, "the last job that was held up began"
    yield "new work done", measured.works_again_at, "a job that was asked for afterwards"
    yield "jobs", None, _jobs(measured)
    if measured.refusals:
        yield "submits refused", None, _refused(measured)


def _sign(name: str, sign: Sign | None) -> tuple[str, float | None, str]:
    return (name, None, "nothing") if sign is None else (name, sign.at, sign.what)


def _jobs(measured: Measured) -> str:
    once = sum([event.name for event in one.ends] == ["succeeded"] for one in measured.witnesses)
    attempts = sum(event.name == "started" for one in measured.witnesses for event in one.events)
    return f"{once} of {len(measured.witnesses)} succeeded, each once, in {attempts} attempts"


def _refused(measured: Measured) -> str:
    counted = Counter(one.words for one in measured.refusals)
    return ", ".join(f"{count} x {words}" for words, count in counted.most_common()) + "; sent again under their keys"


def sentence(drill: Drill, measured: Measured, verdict: Verdict) -> str:
    """Say the verdict."""
    colour = _COLOURS[verdict.outcome]
    head = f"[bold {colour}]{verdict.outcome.capitalize()}[/]: "
    if verdict.reasons:
        more = f" (and {len(verdict.reasons) - 3} more)" if len(verdict.reasons) > 3 else ""
        return head + escape("; ".join(verdict.reasons[:3]) + more) + "."
    since = "the end of the outage" if drill.from_end else "the fault"
    took = span(measured.recovered_s or 0.0)
    kept = f"all worked again {took} after {since}, within the promised {verdict.bound_s:g} s"
    return f"{head}{kept}; nothing was lost or done twice."


def document(drill: Drill, measured: Measured, verdict: Verdict) -> dict[str, Any]:
    """Say it to a program; seconds count from the fault, `recovered_s` from where the bound does."""

    def after(at: float | None) -> float | None:
        return None if at is None else round(max(0.0, at - measured.blow.at), 3)

    def sign(found: Sign | None) -> dict[str, Any] | None:
        return None if found is None else {"after_s": after(found.at), "seen": found.what}

    return {
        "drill": drill.name,
        "promise": drill.promise,
        "outcome": verdict.outcome,
        "bound_s": verdict.bound_s,
        "bound_counts_from": "end" if drill.from_end else "fault",
        "recovered_s": None if measured.recovered_s is None else round(measured.recovered_s, 3),
        "reasons": list(verdict.reasons),
        "broken": measured.blow.what,
        "first_sign": sign(measured.first_sign),
        "detected": sign(measured.detected(drill.detected_in)),
        "mended_after_s": after(measured.healed_at),
        "old_work_runs_after_s": after(measured.runs_again_at),
        "new_work_done_after_s": after(measured.works_again_at),
        "disk_slowdown": measured.slowdown,
        "jobs": len(measured.witnesses),
        "refusals": Counter(one.words for one in measured.refusals),
    }
