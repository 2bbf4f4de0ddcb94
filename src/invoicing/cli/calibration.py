"""`calibration`: do ranges hold as often as they say, and how far off is the likely end."""

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
from invoicing.cli.wording import span

_BY = ("class", "kind", "day")
_COLOURS = {"fits": "green", "too_narrow": "red", "too_wide": "yellow"}


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("calibration", rich_help_panel="A running service")(calibration)


def calibration(
    by: Annotated[str, typer.Option(help=f"What to add up by: {', '.join(_BY)}.")] = "class",
    last: Annotated[str, typer.Option(help="The days of this time, at most 92: 24h, 7d, 4w.")] = "7d",
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    size: Annotated[str | None, typer.Option(help="Only of this size class: small, medium, large, huge.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only of jobs that stood so: waiting, starting, running.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show how often the ranges held that jobs were told, how far off the likely end was, and false flags.

    Example: `invoicing calibration --by day --size small`
    """
    if by not in _BY:
        raise Fault(f"There are no scores by {by!r}.", f"Choose {', '.join(_BY)}.", USAGE)
    since = (datetime.now(UTC) - a_duration("--last", last)).isoformat()
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/calibration", by=by, since=since, kind=kind, size=size, stage=stage)
    if as_json:
        emit(found)
    else:
        OUT.print(scores_table(found) if found["items"] else "No foreseen job ended in that time.")
        say(
            f"From {found['since']} to {found['until']}; {found['confidence']:.0%} should be held. "
            f"{_going_on(found['going_on'])}, {found['overdue']} of them longer than they were told."
        )


def scores_table(found: Answer) -> Table:
    """Show scores, the sum of all last."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(found["by"], no_wrap=True)
    for heading in ("cases", "held", "", "likely off by", "naive", "called slow"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in [*found["items"], found["total"]]:
        verdict = one["verdict"]
        table.add_row(
            escape(one["key"]),
            str(one["cases"]),
            _percent(one["share_held"]),
            f"[{_COLOURS.get(verdict, 'default')}]{verdict.replace('_', ' ')}[/]",
            _seconds(one["median_error_s"]),
            _seconds(one["naive_median_error_s"]),
            _percent(one["share_called_slow"]),
        )
    return table


def _going_on(jobs: int) -> str:
    return "1 foreseen job goes on" if jobs == 1 else f"{jobs} foreseen jobs go on"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else span(seconds)
