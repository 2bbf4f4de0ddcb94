"""`up`: everything on this machine, with a live board on a terminal and plain lines elsewhere."""

from dataclasses import replace
from typing import Annotated

import typer

from invoicing.cli.herald import Herald
from invoicing.cli.options import DEFAULT_HOME, Home
from invoicing.cli.parts import Part
from invoicing.cli.ports import free_port, refuse_taken_port
from invoicing.cli.supervise import Supervisor
from invoicing.kit import embedded
from invoicing.kit.embedded.server import EmbeddedServer
from invoicing.settings import Settings, read


def attach(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("up", rich_help_panel="On this machine")(up)


def up(
    home: Home = DEFAULT_HOME,
    port: Annotated[
        int | None,
        typer.Option(envvar="INVOICING_PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one."),
    ] = None,
    *,
    drills: Annotated[
        bool, typer.Option("--drills", envvar="INVOICING_DRILLS", help="Offer the kind `drill`, for rehearsals.")
    ] = False,
    slots: Annotated[
        int | None, typer.Option(envvar="INVOICING_SLOTS", min=2, max=1000, help="Jobs a worker runs at a time.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
) -> None:
    """Start everything on this machine: PostgreSQL, Redis, web, dispatcher, workers, watchdog.

    All data stays in one folder and survives any kind of stop. Ctrl-C drains and stops; a second Ctrl-C kills.

    Example: `invoicing up --home .invoicing --port 8000`
    """
    given = read()
    settings = replace(
        given,
        home=home.absolute(),
        port=given.port if port is None else port,
        drills=drills,
        slots=given.slots if slots is None else slots,
    )
    if settings.port == 0:
        settings = replace(settings, port=free_port(settings.host))
    with embedded.hold(home) as held:
        servers, herald = _servers(held, settings), Herald()
        supervisor = Supervisor(held.path, servers, herald.tell)
        supervisor.clear()
        refuse_taken_port(settings.host, settings.port)
        # what takes longest to become warm goes first, and all that this process needs is imported meanwhile
        supervisor.load([Part("worker-1", "worker")])
        from invoicing.cli.live import Up  # noqa: PLC0415 - see above

        Up(held.path, settings, supervisor, herald).run(workers)


def _servers(home: embedded.Home, settings: Settings) -> dict[str, EmbeddedServer]:
    """Choose the servers that are ours to run, by the setting that will hold their URL."""
    servers: dict[str, EmbeddedServer] = {}
    if settings.database_url is None:
        servers["database_url"] = embedded.EmbeddedPostgres(home, "invoicing")
    if settings.redis_url is None:
        servers["redis_url"] = embedded.EmbeddedRedis(home)
    return servers
