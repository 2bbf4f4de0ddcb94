"""`maintenance`: windows of work on the service, planned with a preview, listed, ended."""

import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_duration, a_time
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say, show_table
from invoicing.cli.wording import clock, counted, short_clock

_ALL_LANES = 12


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    maintenance = typer.Typer(no_args_is_help=True, help="Plan work on the service that customers would notice.")
    maintenance.command("list")(list_windows)
    maintenance.command("add")(add)
    maintenance.command("end")(end)
    app.add_typer(maintenance, name="maintenance", rich_help_panel="A running service")


def list_windows(
    *,
    over: Annotated[bool, typer.Option("--all", help="Those that are over, too.")] = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """List maintenance windows, the next first.

    Example: `invoicing maintenance list`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/maintenance", over=str(over).lower())
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("No maintenance is planned.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "stage", "from", "until"):
        table.add_column(column, no_wrap=True)
    table.add_column("moved", justify="right")
    for column in ("lanes", "reason"):
        table.add_column(column)
    for one in found["items"]:
        times = short_clock(one["from"]), short_clock(one["until"])
        stage = one["stage"].replace("_", " ")
        table.add_row(one["id"], stage, *times, str(one["shifted"]), _lanes(one), escape(one["reason"]))
    show_table(table, spare=("moved", "stage", "lanes", "until"))


def add(
    reason: Annotated[str, typer.Option(help="What is done: customers read it.")],
    internal: Annotated[str, typer.Option(help="For our staff and the audit.")],
    begins: Annotated[str | None, typer.Option("--from", help="A time in RFC 3339; left out: at once.")] = None,
    until: Annotated[str | None, typer.Option(help="When it ends by itself: a time in RFC 3339.")] = None,
    duration: Annotated[str | None, typer.Option("--for", help="Or for how long: 30m, 2h.")] = None,
    lane: Annotated[list[str] | None, typer.Option(help="Only this lane (repeat for more); left out: all.")] = None,
    *,
    drain: Annotated[bool, typer.Option(help="Whether lanes stand still meanwhile.")] = True,
    shift_promises: Annotated[bool, typer.Option(help="Whether promises move by its length, before.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whom it would touch.")] = False,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Plan a window: those it touches are told, promises move before, lanes drain, and it ends by itself.

    Example: `invoicing maintenance add --from 2026-11-29T02:00Z --for 2h --reason "disks" --internal DB-7 --dry-run`
    """
    if (until is None) == (duration is None):
        raise Fault("A window needs its end.", "Give either --until TIME or --for DURATION.", USAGE)
    start = None if begins is None else a_time("--from", begins)
    end = a_time("--until", until) if until else (start or datetime.now(UTC)) + a_duration("--for", duration or "")
    wish = {
        "from": start and start.isoformat(),
        "until": end.isoformat(),
        "lanes": lane or [],
        "reason": reason,
        "internal_reason": internal,
        "drain": drain,
        "shift_promises": shift_promises,
    }
    with reach(home, url, key, "ops") as service:
        if dry_run:
            planned = service.post("/v1/maintenance", wish, dry_run="true")
        else:
            planned = service.create("/v1/maintenance", wish, secrets.token_urlsafe(16))
    if as_json:
        emit(planned)
    else:
        _tell(planned)


def end(
    window: Annotated[str, typer.Argument(metavar="ID", help="As `invoicing maintenance list` names it.")],
    reason: Annotated[str, typer.Option(help="Why: it goes on the audit.")],
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """End a window early, or cancel one that has not begun; promises that were moved stay.

    Example: `invoicing maintenance end 01a2013d-0f08-7b48-a650-270387a8071a --reason "done sooner"`
    """
    with reach(home, url, key, "ops") as service:
        ended = service.post(f"/v1/maintenance/{window}:end", {"reason": reason})
    if as_json:
        emit(ended)
    else:
        say(f"{ended['id']}: {ended['stage']}.")


def _lanes(window: Answer) -> str:
    return "all" if len(window["lanes"]) == _ALL_LANES else ", ".join(window["lanes"])


def _tell(planned: Answer) -> None:
    window, would = planned["window"], " would be" if planned["dry_run"] else ""
    times = f"from {short_clock(window['from'])} until {clock(window['until'])}"
    say(escape(f"Maintenance{would or ' is'} planned {times}, lanes: {_lanes(window)}."))
    say(f"It{' would touch' if would else ' touches'} {counted(len(planned['touches']), 'customer')}.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("customer", no_wrap=True)
    for column in ("waiting", "running", "promises"):
        table.add_column(column, justify="right")
    for one in planned["touches"]:
        table.add_row(escape(one["customer"]), *(str(one[name]) for name in ("waiting", "running", "promises")))
    if planned["touches"]:
        OUT.print(table)
    if not planned["dry_run"]:
        say(f"Its id: {window['id']}")
