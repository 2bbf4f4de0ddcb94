"""The command `invoicing`: each verb in a file of its own, of which only the one that is called gets imported."""

import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from invoicing.cli.faults import EXIT_CODES, told

_VERBS = {
    "up": "up",
    "demo": "demo",
    "doctor": "doctor",
    "drill": "drill",
    "customers": "customers",
    "keys": "keys",
    "holds": "holds",
    "incidents": "incidents",
    "jobs": "jobs",
    "lanes": "lanes",
    "mails": "mails",
    "maintenance": "maintenance",
    "plan": "plan",
    "calibration": "calibration",
    "promises": "promises",
    "retention": "retention",
    "rota": "rota",
    "verify": "verify",
    "waits": "waits",
    "why": "jobs",
    "workers": "lanes",
    "channels": "channels",
    "webhooks": "webhooks",
    "scheduling": "scheduling",
    "web": "processes",
    "worker": "processes",
    "dispatcher": "processes",
    "watchdog": "processes",
    "migrate": "processes",
}
"""Which file a verb is in."""

_HELP = f"""Issue e-invoices and run back-office jobs: durable, isolated by lane, able to say why a job waits.

First: `invoicing up` (everything on this machine), then in another terminal `invoicing demo`.

Exit codes: {"; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())}.
"""


def build(arguments: Sequence[str]) -> typer.Typer:
    """Assemble the command; with a known verb in front, only that verb's file is imported, so that it starts fast."""
    app = typer.Typer(
        name="invoicing",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    )
    app.callback()(_options)
    wanted = [_VERBS[arguments[0]]] if arguments and arguments[0] in _VERBS else dict.fromkeys(_VERBS.values())
    for module in wanted:
        import_module(f"invoicing.cli.{module}").attach(app)
    return app


def _options(
    debug: bool = typer.Option(False, "--debug", help="Show where an unexpected error came from."),  # noqa: FBT001 - typer reads the signature
) -> None:
    """Hold the option that `main` has taken out of the arguments, so that it may stand anywhere."""
    del debug


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code; no traceback reaches a person who did not ask for one."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    try:
        build(given)(args=given, prog_name="invoicing")
    except Exception as error:
        if debug:
            raise
        sys.exit(told(error))
    except KeyboardInterrupt:
        sys.exit(130)
