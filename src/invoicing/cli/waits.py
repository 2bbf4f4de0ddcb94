"""`waits`: who or what cost how much time, by lane, customer, cause or day."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_duration
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say
from invoicing.cli.why import bar
from invoicing.cli.wording import clock, span

_BY = ("lane", "customer", "cause", "day")
_NAMED = 3
"""Causes that are named in each row."""


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("waits", rich_help_panel="A running service")(waits)


def waits(
    by: Annotated[str, typer.Option(help=f"What to add up by: {', '.join(_BY)}.")] = "lane",
    last: Annotated[str, typer.Option(help="The days of this time, at most 31: 24h, 7d, 4w.")] = "7d",
    lane: Annotated[str | None, typer.Option(help="Only of this lane: normal-large.")] = None,
    customer: Annotated[str | None, typer.Option(help="Only of this customer (its slug).")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what ended jobs waited for, the longest waits first.

    Example: `invoicing waits --by customer --lane normal-large`
    """
    if by not in _BY:
        raise Fault(f"There are no sums by {by!r}.", f"Choose {', '.join(_BY)}.", USAGE)
    since = (datetime.now(UTC) - a_duration("--last", last)).isoformat()
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/waits", by=by, since=since, lane=lane, customer=customer)
    if as_json:
        emit(found)
    else:
        _tell(found, by)


def _tell(found: Answer, by: str) -> None:
    longest = max((one["waited_s"] for one in found["items"]), default=0.0) or 1.0
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(by, no_wrap=True)
    table.add_column("waited", justify="right", no_wrap=True)
    table.add_column("worked", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("mostly")
    for one in found["items"]:
        waited = {cause: seconds for cause, seconds in one["totals"].items() if cause != "running_normally"}
        mostly = ", ".join(f"{cause.replace('_', ' ')} {span(waited[cause])}" for cause in list(waited)[:_NAMED])
        worked = span(one["seconds"] - one["waited_s"])
        table.add_row(escape(one["key"]), span(one["waited_s"]), worked, bar(one["waited_s"] / longest / 2), mostly)
    OUT.print(table if found["items"] else "No job ended in that time.")
    say(f"From {found['since']} to {found['until']}, of jobs that ended by {clock(found['tallied_to'])}.")
