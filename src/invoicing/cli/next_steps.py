"""What `up` prints when it is ready: lines to copy, from the first request to the finished invoice."""

import shlex
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from rich.markup import escape

from invoicing.cli.bills import small_request
from invoicing.cli.dev_keys_file import keys_file
from invoicing.kit.clock import now
from invoicing.kit.embedded.files import write_text

_SEED = 7


def command() -> str:
    """Say how this command is called: by its name where a shell finds it, else by its place."""
    here = Path(sys.argv[0])
    if shutil.which("invoicing") or here.name != "invoicing":
        return "invoicing"
    with suppress(ValueError):
        here = here.absolute().relative_to(Path.cwd())
    return shlex.quote(str(here))


def next_steps(url: str, home: Path, seconds: float) -> str:
    """Write the lines; they use a request that is put into the home folder, so they work wherever they are copied."""
    request = home / "first-invoice.json"
    if not request.exists():
        write_text(request, b"".join(small_request(_SEED, now().date())).decode())
    keys, request_at = shlex.quote(str(keys_file(home))), shlex.quote(str(request))
    key = f'KEY=$(sed -n \'s/.*"customer": "\\(.*\\)".*/\\1/p\' {keys})'
    submit = (
        f'curl -sS {url}/v1/jobs -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" '
        f'-H "Idempotency-Key: first-invoice" --data-binary @{request_at}'
    )
    where = "" if home == Path(".invoicing").absolute() else f" --home {shlex.quote(str(home))}"
    lines = (
        f"[bold green]Ready in {seconds:.1f} s:[/] {url}   (documentation: {url}/docs)",
        "",
        "Issue a first invoice, in another terminal:",
        f"  {escape(key)}",
        f"  {escape(submit)}",
        f'  curl -sS {url}/v1/jobs -H "Authorization: Bearer $KEY"',
        "or without curl:",
        f"  {command()} jobs submit {escape(request_at)} --wait --output .{escape(where)}",
        "A small invoice beside one over four years of bills:",
        f"  {command()} demo{escape(where)}",
        f"Keys: {escape(keys)}   logs: {escape(str(home / 'logs'))}",
        f"Something wrong: {command()} doctor{escape(where)}",
        "",
    )
    return "\n".join(lines)
