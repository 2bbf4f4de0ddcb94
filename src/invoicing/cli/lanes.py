"""`lanes` and `workers`: how the lanes are doing, holding one, and who serves them."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import an_end
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say, show_table
from invoicing.cli.wording import clock, moment, span

Lane = Annotated[str, typer.Argument(metavar="LANE", help="As `invoicing lanes list` names it: normal-large.")]


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    lanes = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    lanes.callback()(_list_by_default)
    lanes.command("list")(list_lanes)
    lanes.command("pause")(pause)
    lanes.command("resume")(resume)
    app.add_typer(lanes, name="lanes", rich_help_panel="A running service")
    app.command("workers", rich_help_panel="A running service")(workers)


def _list_by_default(
    context: typer.Context, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """See, pause and resume lanes; alone it lists them."""
    if context.invoked_subcommand is None:
        list_lanes(home=home, url=url, key=key, as_json=as_json)


def list_lanes(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show every lane: what waits, its work, what runs, how fast it goes, when it will be done, what is paused.

    Example: `invoicing lanes list`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/lanes")
    if as_json:
        emit(found)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("lane", no_wrap=True)
    for column in ("waiting", "work", "oldest", "running", "slots", "workers", "per s", "done in"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("paused")
    for lane in found["items"]:
        oldest = "-" if lane["oldest"] is None else span((datetime.now(UTC) - moment(lane["oldest"])).total_seconds())
        work = span(lane["work_s"]) if lane["waiting"] else "-"
        rate = f"{lane['rate']:.3g}" if lane["rate"] else "-"
        done = span(lane["forecast"]["in_s"]) if lane["forecast"] else "-"
        numbers = [str(lane[name]) for name in ("running", "slots", "workers")]
        waits = [str(lane["waiting"]), work, oldest]
        table.add_row(lane["name"], *waits, *numbers, rate, done, escape(_paused(lane)))
    show_table(table, spare=("per s", "work", "slots", "workers"))


def pause(
    lane: Lane,
    reason: Annotated[str, typer.Option(help="Why: customers who wait are told.")],
    until: Annotated[str | None, typer.Option(help="When it goes on by itself: a time in RFC 3339.")] = None,
    duration: Annotated[str | None, typer.Option("--for", help="Or for how long: 15m, 2h.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Let no further job of a lane start; what runs goes on, and a pause always ends by itself.

    Example: `invoicing lanes pause normal-large --for 30m --reason "printer is being replaced"`
    """
    end = an_end(until, duration)
    with reach(home, url, key, "ops") as service:
        found = service.post(f"/v1/lanes/{lane}:pause", {"until": end.isoformat(), "reason": reason})
    _tell(found, as_json=as_json)


def resume(lane: Lane, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Let a paused lane go on.

    Example: `invoicing lanes resume normal-large`
    """
    with reach(home, url, key, "ops") as service:
        found = service.post(f"/v1/lanes/{lane}:resume")
    _tell(found, as_json=as_json)


def workers(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show who serves the lanes: last heartbeat, slots, what each runs.

    Example: `invoicing workers`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/workers")
    if as_json:
        emit(found)
        return
    if not found["items"]:
        OUT.print("[red]No worker is registered: nothing is carried out.[/] Start one: `invoicing worker`.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("worker", "host", "pid", "build", "condition", "slots", "running"):
        table.add_column(column, no_wrap=column != "running")
    for one in found["items"]:
        runs = " ".join(job[-12:] for job in one["running"]) or "-"
        words = one["id"][-12:], one["host"], str(one["pid"]), one["build"], _condition(one), str(one["slots"]), runs
        table.add_row(*words)
    show_table(table, spare=("build", "pid", "host"))


def _condition(worker: Answer) -> str:
    silent = span(max(0.0, (datetime.now(UTC) - moment(worker["heartbeat_at"])).total_seconds()))
    if not worker["alive"]:
        return f"[red]no heartbeat for {silent}[/]"
    return f"[yellow]draining, beat {silent} ago[/]" if worker["stopping"] else f"[green]serving, beat {silent} ago[/]"


def _paused(lane: Answer) -> str:
    paused = lane["paused"]
    return f"until {clock(paused['until'])} by {paused['by']}: {paused['reason']}" if paused else ""


def _tell(lane: Answer, *, as_json: bool) -> None:
    if as_json:
        emit(lane)
    else:
        say(escape(f"{lane['name']}: " + (f"paused {_paused(lane)}" if lane["paused"] else "releases jobs")))
