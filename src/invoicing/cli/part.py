"""A process that `up` supervises (`python -m invoicing.cli.part ROLE`): imports, waits for its settings, then works.

The settings come as one line on standard input, so a part can load its code while the servers still start, and no
password stands in its environment. Standard input then stays open for as long as `up` lives: its end means that `up`
is gone, however it went, and the part goes at once. Nothing is lost by that: what it held is in the ledger, and leases
give it to another.
"""

import gc
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from invoicing.settings import Settings

WEB = "web"
_ORPHANED = 75  # EX_TEMPFAIL of sysexits.h: starting `up` again is all it takes

Process = Callable[[Settings], None]


def load(role: str) -> Process:
    """Import what a role runs: the web process is ours, the others come by entry point."""
    if role == WEB:
        from invoicing.app.web import serve  # noqa: PLC0415 - the other roles do without FastAPI

        return serve
    for entry in entry_points(group="invoicing.processes", name=role):
        process: Process = entry.load()
        return process
    raise LookupError(f"nothing installed offers the process {role!r} (entry points `invoicing.processes`)")


def prepare(role: str) -> None:
    """Begin what a role can begin before it has its settings (entry points `invoicing.preparations`)."""
    for entry in entry_points(group="invoicing.preparations", name=role):
        entry.load()()


def settings_line(settings: Settings) -> bytes:
    """Write settings for a part to read."""
    return json.dumps(asdict(settings), default=str).encode() + b"\n"


def settings_of(line: bytes) -> Settings:
    """Read what `settings_line` wrote."""
    values: Mapping[str, Any] = json.loads(line)
    rules = values["rules_dir"]
    return Settings(**{**values, "home": Path(values["home"]), "rules_dir": rules and Path(rules)})


def _leave_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os._exit(_ORPHANED)


def main() -> None:
    """Run one role."""
    gc.disable()  # what is imported stays: looking through it again and again takes a tenth of the time
    prepare(sys.argv[1])
    run = load(sys.argv[1])
    gc.freeze()
    gc.enable()
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(_ORPHANED)
    threading.Thread(target=_leave_with_parent, name="parent", daemon=True).start()
    run(settings_of(line))


if __name__ == "__main__":
    main()
