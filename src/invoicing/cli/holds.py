"""`holds`: the reviews that are open and the jobs that are paused, those over first first."""

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import emit, say, show_table
from invoicing.cli.wording import short_clock

_MOST = 200


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("holds", rich_help_panel="A running service")(holds)


def holds(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """List the jobs that somebody has to decide about or that are paused, those over first first (support, ops).

    Example: `invoicing holds`, then `invoicing jobs release ID --reason "..."`, `reject ID ...` or `resume ID ...`
    """
    with reach(home, url, key, "support") as service:
        found = service.get("/v1/support/holds", page_size=_MOST)
    if as_json:
        emit(found)
        return
    if not found["items"]:
        say("No job is in review or paused.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("job", "customer", "kind", "reference", "owner", "why", "since", "due"):
        table.add_column(column, no_wrap=column not in {"owner", "why"})
    for one in found["items"]:
        table.add_row(*map(escape, _words(one)), style="red" if one["overdue"] else None)
    show_table(table, spare=("kind", "customer", "since", "owner"))
    if found["next_page_token"]:
        say(f"These are the first {_MOST}.")


def _words(one: Answer) -> tuple[str, ...]:
    due = f"{short_clock(one['due'])}, overdue" if one["overdue"] else short_clock(one["due"])
    of = (one["job_id"], one["customer"], one["kind"], one["reference"] or "-", one["owner"] or one["by"])
    return (*of, _why(one), short_clock(one["since"]), due)


def _why(one: Answer) -> str:
    if one["cause"] == "paused":
        return f"paused: {one['reason']}"
    unit = "s" if one["measure"] == "seconds" else one["measure"]
    return f"{one['value']} {unit}, above {one['above']}"
