"""The whole service as processes of their own, on the servers of a measurement."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import psutil
from benchmarks.surroundings import Servers, free_port, process, wait_for_port

_READY_WITHIN_S = 90.0


@dataclass(frozen=True)
class Service:
    """Where it answers, and which processes it consists of."""

    url: str
    roots: Mapping[str, int]

    def pids(self) -> dict[str, int]:
        """Name every process, with the children of the worker."""
        named = dict(self.roots)
        for place, child in enumerate(psutil.Process(self.roots["worker"]).children(), 1):
            named[f"child {place} of the worker"] = child.pid
        return named


@contextmanager
def running(around: Servers, slots: int) -> Iterator[Service]:
    """Run web, dispatcher, watchdog and one worker until the block ends; they are warm when it begins."""
    port = free_port()
    environment = {**around.environment(), "INVOICING_PORT": str(port), "INVOICING_SLOTS": str(slots)}
    with ExitStack() as stack:
        started = {
            role: stack.enter_context(process([sys.executable, "-m", "invoicing.cli", role], environment))
            for role in ("web", "dispatcher", "watchdog", "worker")
        }
        wait_for_port(port, started["web"])
        service = Service(f"http://127.0.0.1:{port}", {role: each.pid for role, each in started.items()})
        _wait_until_warm(service, slots)
        yield service


def _wait_until_warm(service: Service, slots: int) -> None:
    """Wait for the children (one more than slots) and for them to have nothing to do."""
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        children = psutil.Process(service.roots["worker"]).children()
        if len(children) > slots and all(child.cpu_percent(0.2) < 5 for child in children):
            return
        time.sleep(0.2)
    raise TimeoutError("the worker's children did not become warm")
