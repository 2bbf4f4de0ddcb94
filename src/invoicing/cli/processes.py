"""`web`, `worker`, `dispatcher`, `watchdog`, `migrate`: single processes, as a machine room runs them."""

import asyncio
from collections.abc import Callable

import typer

from invoicing.cli import part, schema
from invoicing.cli.output import say
from invoicing.settings import SettingError, read

_ENVIRONMENT = (
    "Needs INVOICING_DATABASE_URL and INVOICING_REDIS_URL; SIGTERM ends it in order.\n\n"
    "Example: `INVOICING_DATABASE_URL=postgresql://invoicing@db/invoicing INVOICING_REDIS_URL=redis://cache/0 "
    "invoicing {role}`"
)

_ROLES = {
    part.WEB: "Answer HTTP requests (INVOICING_HOST, INVOICING_PORT).",
    "worker": "Carry jobs out, INVOICING_SLOTS at a time.",
    "dispatcher": "Move jobs from the ledger to the lanes' runways; several may run, one leads.",
    "watchdog": "Put right what was lost (jobs of dead workers, tickets that Redis forgot), and deliver webhooks.",
}


def attach(app: typer.Typer) -> None:
    """Add the verbs."""
    for role, does in _ROLES.items():
        app.command(role, help=f"{does}\n\n{_ENVIRONMENT.format(role=role)}", rich_help_panel="Single processes")(
            _process(role)
        )
    app.command("migrate", rich_help_panel="Single processes")(migrate)


def _process(role: str) -> Callable[[], None]:
    def run() -> None:
        settings = read()
        settings.servers()
        part.load(role)(settings)

    return run


def migrate() -> None:
    """Bring the database to the newest tables; doing it twice changes nothing.

    Example: `INVOICING_DATABASE_URL=postgresql://invoicing@db/invoicing invoicing migrate`
    """
    from invoicing.cli.migrate import migrate as run  # noqa: PLC0415 - Alembic takes long to import

    url = read().database_url
    if url is None:
        raise SettingError("INVOICING_DATABASE_URL is not set: postgresql://user:password@host:5432/name")
    before = asyncio.run(schema.current(url))
    if before == schema.newest():
        say(f"The database is at the newest revision already ({before}).")
        return
    run(url)
    say(f"The database went from revision {before or 'none'} to {schema.newest()}.")
