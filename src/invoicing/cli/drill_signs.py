"""Where a fault shows, outside of jobs: `run.json` (the supervisor's view of processes) and the processes' own logs."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from invoicing.cli.drill_measures import Sign
from invoicing.cli.drill_promises import LOGS, PROCESSES
from invoicing.cli.drill_site import Site
from invoicing.cli.wording import moment

OWN_LOG = "drill-"
"""How the logs of a drill's own processes begin: what they say is no sign that the service noticed anything."""

_LOOK_EVERY_S = 0.05
_TELLING = frozenset({"warning", "error", "critical"})


class Lookout:
    """Looks at both while the block runs."""

    def __init__(self, site: Site) -> None:
        """Remember how long the logs are."""
        self._site = site
        logs = [path for path in sorted((site.home / "logs").glob("*.log")) if not path.name.startswith(OWN_LOG)]
        self._logs = {path: path.stat().st_size for path in logs}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lookout", daemon=True)
        self._changes: list[Sign] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(2)

    def signs(self, since: float) -> Sequence[Sign]:
        """Give what was seen since a moment."""
        return [sign for sign in (*self._changes, *self._logged()) if sign.at >= since]

    def _look(self) -> None:
        before = {one.name: one.pid for one in self._site.processes()}
        while not self._ended.wait(_LOOK_EVERY_S):
            after = {one.name: one.pid for one in self._site.processes()}
            if not after:  # it is being written, or `up` ends
                continue
            for name in before.keys() - after.keys():
                self._changes.append(Sign(time.time(), PROCESSES, f"run.json names {name} no more"))
            for name in after.keys() & before.keys():
                if after[name] != before[name]:
                    self._changes.append(Sign(time.time(), PROCESSES, f"run.json: {name} is process {after[name]} now"))
            for name in after.keys() - before.keys():
                self._changes.append(Sign(time.time(), PROCESSES, f"run.json: {name} runs, as process {after[name]}"))
            before = after

    def _logged(self) -> Iterator[Sign]:
        for path, size in self._logs.items():
            with path.open("rb") as log:
                log.seek(size)
                for line in log:
                    if sign := sign_in(path, line):
                        yield sign


def sign_in(path: Path, line: bytes) -> Sign | None:
    """Read a line of a log; None where it is not one of ours, or tells of nothing wrong."""
    try:
        told: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("level") not in _TELLING or not told.get("action"):
        return None
    return Sign(moment(told["at"]).timestamp(), LOGS, f"log of {path.stem}: {told['action']}")
