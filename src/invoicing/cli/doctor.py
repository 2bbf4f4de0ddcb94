"""`doctor`: looks at everything the service depends on, and says what to do."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, replace

import typer
from rich.markup import escape
from rich.table import Table

from invoicing.cli.checks import BROKEN, OK, WARNING, Finding, here
from invoicing.cli.checks_servers import servers
from invoicing.cli.faults import REFUSED
from invoicing.cli.options import DEFAULT_HOME, AsJson, Home
from invoicing.cli.output import OUT, emit, say
from invoicing.cli.run_file import RunFile
from invoicing.settings import read

_SIGNS = {OK: "[green]ok[/]", WARNING: "[yellow]warning[/]", BROKEN: "[bold red]broken[/]"}


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", rich_help_panel="On this machine")(doctor)


def doctor(home: Home = DEFAULT_HOME, *, as_json: AsJson = False) -> None:
    """Check every dependency and say what to do; exit code 1 when something is broken.

    Looks at the servers of INVOICING_DATABASE_URL and INVOICING_REDIS_URL, else at those that run in DIR.

    Example: `invoicing doctor`
    """
    settings = replace(read(), home=home)
    running = RunFile.of(home).read() or {}
    database_url = settings.database_url or running.get("database_url")
    redis_url = settings.redis_url or running.get("redis_url")
    found = [*here(settings), *asyncio.run(servers(database_url, redis_url))]
    broken = [one for one in found if one.condition == BROKEN]
    if as_json:
        emit({"healthy": not broken, "checks": [asdict(one) for one in found]})
    else:
        _show(found)
        say(f"{len(broken)} broken." if broken else "Nothing is broken.")
    if broken:
        raise typer.Exit(REFUSED)


def _show(found: Sequence[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("seen", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for one in found:
        table.add_row(one.check, _SIGNS[one.condition], escape(one.seen), escape(one.remedy))
    OUT.print(table)
