"""`promises`: how many were kept, by customer and kind."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.durations import a_duration
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say
from invoicing.cli.wording import clock


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("promises", rich_help_panel="A running service")(promises)


def promises(
    last: Annotated[str, typer.Option(help="Of the jobs that ended in this time: 24h, 7d, 4w.")] = "7d",
    customer: Annotated[str | None, typer.Option(help="Only of this customer (its slug).")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show how many promises were kept, those with the most misses first; with a customer's key its own.

    Example: `invoicing promises --last 24h --kind invoice.issue`
    """
    since = (datetime.now(UTC) - a_duration("--last", last)).isoformat()
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/promises", since=since, customer=customer, kind=kind)
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say(f"No job ended since {clock(found['since'])}.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("customer", "kind"):
        table.add_column(column, no_wrap=True)
    for column in ("kept", "missed", "share", "news in time"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found["items"]:
        table.add_row(escape(one["customer"]), escape(one["kind"]), *_figures(one))
    table.add_section()
    table.add_row("all", "", *_figures(found["total"]))
    OUT.print(table)


def _figures(one: Answer) -> tuple[str, str, str, str]:
    return str(one["kept"]), str(one["missed"]), _percent(one["share"]), _percent(one["updates"]["share"])


def _percent(share: float | None) -> str:
    """Never round a broken promise up to none."""
    return "-" if share is None else f"{int(share * 10_000) / 100:g} %"
