"""The service that a drill may break: one that `up` runs on this machine now, with drills allowed, and no other."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from invoicing.cli.client import Answer, Service
from invoicing.cli.dev_keys_file import keys_file, read_keys
from invoicing.cli.drill_promises import USUAL_LEASE_S
from invoicing.cli.faults import NOT_ALLOWED, NOT_REACHABLE, Fault
from invoicing.cli.run_file import RunFile
from invoicing.kit.embedded.files import read_text


@dataclass(frozen=True)
class Process:
    """A process as `run.json` names it."""

    name: str
    role: str
    pid: int


@dataclass(frozen=True)
class Site:
    """One `up` with its home folder."""

    home: Path
    up: int
    url: str
    customer_key: str
    ops_key: str

    @property
    def told(self) -> dict[str, Any]:
        """What `run.json` says now."""
        return RunFile.of(self.home).read() or {"processes": []}

    def processes(self, role: str | None = None) -> Sequence[Process]:
        """List what runs now, of a role or all."""
        found = [Process(str(one["name"]), str(one["role"]), int(one["pid"])) for one in self.told["processes"]]
        return [one for one in found if role in {None, one.role}]

    def one(self, role: str) -> Process:
        """Find the process of a role."""
        for process in self.processes(role):
            return process
        raise Fault(f"This service has no {role} of its own just now.", "`invoicing doctor` says more.")

    def lease_s(self) -> float:
        """How long the longest lease of a worker is, as far as they tell."""
        with Service(self.url, self.ops_key) as ops:
            return max((float(one.get("lease_s", USUAL_LEASE_S)) for one in serving(ops)), default=USUAL_LEASE_S)

    def family(self, pid: int) -> Sequence[int]:
        """List a process of ours and all below it; nothing when it is not ours: numbers are used again."""
        parents = parents_now()
        return [one for one in parents if descends(one, pid, parents)] if descends(pid, self.up, parents) else []


def serving(ops: Service) -> Sequence[Answer]:
    """List the workers that serve the lanes now."""
    found: list[Answer] = ops.get("/v1/workers")["items"]
    return [one for one in found if one["alive"] and not one["stopping"]]


def find(home: Path) -> Site:
    """Find the service of a home folder; refuse whatever is not a running `up` of this machine with drills allowed."""
    running = RunFile.of(home).read()
    if running is None:
        raise Fault(
            f"Drills break a service of this machine, and none runs in {home}.",
            "Start one with `invoicing up --drills`, or name its folder with --home.",
            NOT_REACHABLE,
        )
    keys = read_keys(home)
    if not {"customer", "ops"} <= keys.keys():
        raise Fault(f"{keys_file(home)} lacks keys.", "`invoicing up` writes them.", NOT_ALLOWED)
    site = Site(home, _up_of(home, running), str(running["url"]), keys["customer"], keys["ops"])
    _refuse_without_drills(site)
    return site


def _up_of(home: Path, running: dict[str, Any]) -> int:
    """Give the process that holds the home folder, and insist that all that run.json names are below it."""
    holder, parents = read_text(home / "lock") or "", parents_now()
    named = [int(one["pid"]) for one in running.get("processes", ())]
    if not named or not holder.isdigit() or not all(descends(pid, int(holder), parents) for pid in named):
        raise Fault(
            f"What {home / 'run.json'} names is not running here under one `up`: nothing was touched.",
            "Start it with `invoicing up --drills`; if it has just lost a process, try again in a moment.",
            NOT_REACHABLE,
        )
    return int(holder)


def _refuse_without_drills(site: Site) -> None:
    with Service(site.url, site.customer_key) as service:
        kinds = {kind["kind"] for kind in service.get("/v1/kinds")["items"]}
    if "drill" not in kinds:
        raise Fault(
            "Drills are not allowed on this service: nothing was touched.",
            "Where breaking it hurts nobody, start it with `invoicing up --drills` (INVOICING_DRILLS=1).",
            NOT_ALLOWED,
        )


def parents_now() -> dict[int, int]:
    """Give the parent of every process of this machine."""
    if sys.platform == "linux":
        return dict(_parent_of(Path(entry.path)) for entry in os.scandir("/proc") if entry.name.isdigit())
    shown = subprocess.run(["/bin/ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    return {int(pid): int(parent) for pid, parent in map(str.split, shown.stdout.splitlines())}


def _parent_of(folder: Path) -> tuple[int, int]:
    with suppress(OSError):  # it ended meanwhile
        fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()
        return int(folder.name), int(fields[1]) if fields[0] not in {"Z", "X"} else 0
    return int(folder.name), 0


def descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    """Tell whether a process is another one or below it."""
    while pid > 1 and pid != ancestor:
        pid = parents.get(pid, 0)
    return pid == ancestor and pid in parents
