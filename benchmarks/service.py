"""The whole service as processes of their own, on the servers of a measurement."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from benchmarks import kinds
from benchmarks.surroundings import Servers, call, free_port, ops_key, process, wait_for_port

_READY_WITHIN_S = 180.0
_SPARE = 1
"""Spare slots for small jobs, unless the policy says otherwise."""


@dataclass(frozen=True)
class Service:
    """Where it answers, which processes it consists of, and the folder in which they run."""

    url: str
    roots: Mapping[str, int]
    folder: Path

    @property
    def cpu(self) -> Path:
        """Where jobs leave how much CPU they had."""
        return self.folder / kinds.CPU

    def pids(self) -> dict[str, int]:
        """Name every process, with the children of the worker."""
        named = dict(self.roots)
        for place, child in enumerate(psutil.Process(self.roots["worker"]).children(), 1):
            named[f"child {place} of the worker"] = child.pid
        return named


@contextmanager
def running(around: Servers, slots: int, spare: int | None = None) -> Iterator[Service]:
    """Run web, dispatcher, watchdog and one worker until the block ends; they are warm when it begins.

    `spare` is the number of spare slots for small jobs, where it is not to be the usual one.
    """
    with waiting(around, slots) as service:
        if spare is not None:
            changes = {"changes": {"spare": spare}, "reason": "a measurement"}
            call("PATCH", f"{service.url}/v1/scheduling", ops_key(around.database_url), changes)
        with working(service, around, slots, _SPARE if spare is None else spare) as complete:
            yield complete


@contextmanager
def waiting(around: Servers, slots: int) -> Iterator[Service]:
    """Run everything but the worker."""
    port = free_port()
    folder = around.folder / f"service-{port}"
    kinds.offer_in(folder)
    environment = {**around.environment(), "INVOICING_PORT": str(port), "INVOICING_SLOTS": str(slots)}
    with ExitStack() as stack:
        started = {
            role: stack.enter_context(process(_command(role), environment, folder))
            for role in ("web", "dispatcher", "watchdog")
        }
        wait_for_port(port, started["web"])
        yield Service(f"http://127.0.0.1:{port}", {role: each.pid for role, each in started.items()}, folder)


@contextmanager
def working(service: Service, around: Servers, slots: int, spare: int = _SPARE) -> Iterator[Service]:
    """Add a worker to it; it is warm when the block begins."""
    with starting(service, around, slots) as worker:
        wait_until_warm(worker.pid, slots, spare)
        yield Service(service.url, {**service.roots, "worker": worker.pid}, service.folder)


@contextmanager
def starting(service: Service, around: Servers, slots: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a worker of it, and end it with the block; nobody waits until it is warm."""
    environment = {**around.environment(), "INVOICING_SLOTS": str(slots)}
    with process(_command("worker"), environment, service.folder) as worker:
        yield worker


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "invoicing.cli", role]


def wait_until_warm(worker: int, slots: int, spare: int = _SPARE) -> None:
    """Wait for its children (one for each slot and spare slot, and the understudy) to have nothing more to do."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        children = psutil.Process(worker).children()
        if len(children) > slots + spare and all(child.cpu_percent(0.5) < 5 for child in children):
            return
        time.sleep(0.2)
    raise TimeoutError("the worker's children did not become warm")
