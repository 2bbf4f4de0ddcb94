"""What can go wrong with a command: said in a sentence with its remedy, and as an exit code."""

from rich.markup import escape

from invoicing.cli.output import ERRORS
from invoicing.kit.embedded import EmbeddedServerError
from invoicing.kit.problems import Problem
from invoicing.settings import SettingError

REFUSED = 1
USAGE = 2
NOT_REACHABLE = 3
NOT_ALLOWED = 4
INTERRUPTED = 130

EXIT_CODES = {
    0: "done",
    REFUSED: "refused or failed (the reason is on standard error)",
    USAGE: "wrong usage",
    NOT_REACHABLE: "the service cannot be reached",
    NOT_ALLOWED: "the key is missing or may not do this",
    INTERRUPTED: "interrupted",
}
"""What each exit code means; `--help` and the documentation print this table."""


class Fault(Exception):  # noqa: N818 - most are refusals, not errors
    """A command cannot go on: why, what to do about it, and the exit code."""

    def __init__(self, why: str, remedy: str = "", code: int = REFUSED) -> None:
        """Say why, and what helps."""
        super().__init__(why)
        self.why = why
        self.remedy = remedy
        self.code = code


def told(error: Exception) -> int:
    """Tell a person what went wrong; returns the exit code."""
    match error:
        case Fault():
            ERRORS.print(f"[bold red]Error:[/] {escape(error.why)}", soft_wrap=True)
            if error.remedy:
                ERRORS.print(f"[bold]Remedy:[/] {escape(error.remedy)}", soft_wrap=True)
            return error.code
        case Problem():
            ERRORS.print(f"[bold red]Error:[/] {escape(error.detail)}", soft_wrap=True)
            if error.remedy:
                ERRORS.print(f"[bold]Remedy:[/] {escape(error.remedy)}", soft_wrap=True)
            return REFUSED
        case EmbeddedServerError():
            ERRORS.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
            return REFUSED
        case SettingError():
            ERRORS.print(f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True)
            return USAGE
        case _:
            ERRORS.print(
                f"[bold red]Unexpected error:[/] {type(error).__name__}: {escape(str(error)) or '(it says nothing)'}",
                soft_wrap=True,
            )
            ERRORS.print("[bold]Remedy:[/] run it again with --debug to see where it came from.", soft_wrap=True)
            return REFUSED
