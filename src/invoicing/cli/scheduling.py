"""`scheduling show | set`: the policy by which slots are shared, and changing it while everything runs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.client import Answer, reach
from invoicing.cli.faults import USAGE, Fault
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home, Key, Url
from invoicing.cli.output import OUT, emit, say
from invoicing.cli.wording import clock

_SIZES = ("small", "medium", "large", "huge")


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    scheduling = typer.Typer(invoke_without_command=True, rich_markup_mode="markdown")
    scheduling.callback()(_show_by_default)
    scheduling.command("show")(show)
    scheduling.command("set")(change)
    app.add_typer(scheduling, name="scheduling", rich_help_panel="A running service")


def _show_by_default(
    context: typer.Context, *, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """See and change how slots are shared; alone it shows what holds."""
    if context.invoked_subcommand is None:
        show(home=home, url=url, key=key, as_json=as_json)


def show(*, home: Home = DEFAULT_HOME, url: Url = None, key: Key = None, as_json: AsJson = False) -> None:
    """Show every setting that holds, who set it and why, what was learned, and the workers' quotas.

    Example: `invoicing scheduling show`
    """
    with reach(home, url, key, "ops") as service:
        found = service.get("/v1/scheduling")
    _tell(found, as_json=as_json)


def change(
    settings: Annotated[
        list[str], typer.Argument(metavar="SETTING=VALUE", help="As `show` names it; `=default` takes one back.")
    ],
    reason: Annotated[str, typer.Option(help="Why: it goes on the audit.")],
    host: Annotated[str | None, typer.Option(help="The host that is meant; left out: the fleet.")] = None,
    *,
    home: Home = DEFAULT_HOME,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Change settings; dispatcher and workers go by them within seconds, and what runs goes on.

    Example: `invoicing scheduling set spare=2 cutoffs.small_s=0.5 --reason "month's end"`; for one host
    `invoicing scheduling set slots=4 --host worker-7 --reason "shares its machine"`; and to take one back
    `invoicing scheduling set spare=default --reason "month's end is over"`
    """
    body = {"changes": _changes(settings), "reason": reason} | ({"host": host} if host else {})
    with reach(home, url, key, "ops") as service:
        found = service.patch("/v1/scheduling", body)
    _tell(found, as_json=as_json)


def _changes(settings: Sequence[str]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not (path and equals and value):
            raise Fault(f"{setting!r} is no setting with a value.", "Write it like cutoffs.small_s=0.5.", USAGE)
        *folders, name = path.split(".")
        place = changes
        for folder in folders:
            place = place.setdefault(folder, {})
            if not isinstance(place, dict):
                raise Fault(f"{setting!r} contradicts another one.", "Name each setting once.", USAGE)
        place[name] = None if value == "default" else _value(value)
    return changes


def _value(text: str) -> Any:  # noqa: ANN401 - a number, or what the service will refuse with its remedy
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(found: Answer, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    by_people = {path for one in found["overrides"] if one["host"] is None for path, _ in _leaves(one["settings"])}
    learned = {path for path, _ in _leaves({"cutoffs": found["learned"]})}
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("setting", "value", "from"):
        table.add_column(column, no_wrap=True)
    for path, value in _leaves(found["effective"]):
        source = "set" if path in by_people else "learned" if path in learned else "default"
        table.add_row(path, f"{value:g}" if isinstance(value, float) else str(value), source)
    OUT.print(table)
    for one in found["overrides"]:
        where = one["host"] or "the fleet"
        settings = " ".join(f"{path}={value}" for path, value in _leaves(one["settings"]))
        say(escape(f"{where}: {settings} set by {one['by']} at {clock(one['at'])}: {one['reason']}"))
    if not found["workers"]:
        say("No worker is alive: nothing is carried out.")
    for worker in found["workers"]:
        say(escape(f"{worker['host']}: {worker['slots']} slots, at most {_quotas(worker['quotas'])}"))


def _quotas(quotas: Mapping[str, int]) -> str:
    return ", ".join(f"{quotas[size]} {size}" + (" or larger" if size != "huge" else "") for size in _SIZES)


def _leaves(settings: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
