"""The service on several hosts: servers, web, dispatcher and watchdog, and two workers, each a process of its own."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from invoicing.cli.migrate import migrate
from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction

from .network import Network

LEDGER, RUNWAY, WEB, OFFICE, A, B, CUSTOMER = "ledger", "runway", "web", "office", "worker-a", "worker-b", "customer"
SLOTS = 4

_ROLES = ((WEB, "web"), (OFFICE, "dispatcher"), (OFFICE, "watchdog"), (A, "worker"), (B, "worker"))

_PORT = 8000
_READY_WITHIN_S = 240.0
_STOPS_WITHIN_S = 60.0
_SLUG = "north"

Process = subprocess.Popen[bytes]


class Site:
    """All hosts, and what runs there."""

    def __init__(self, network: Network, home: Path) -> None:
        """Keep data and logs in a folder."""
        self.network = network
        self.database_url = ""
        self.keys: dict[str, str] = {}
        self.url = f"http://{network.addresses[WEB]}:{_PORT}"
        self._home = home
        self._redis_url = ""
        self._running: dict[str, Process] = {}

    def start(self) -> None:
        """Start all of it; returns when jobs are carried out."""
        servers = [self._server(LEDGER, "postgres"), self._server(RUNWAY, "redis")]
        self.database_url, self._redis_url = map(_said, servers)
        with self.network.entered(CUSTOMER):
            migrate(self.database_url)
            self.keys = {_SLUG: asyncio.run(self._customer())}
            for host, role in (
                (WEB, "web"),
                (OFFICE, "dispatcher"),
                (OFFICE, "watchdog"),
                (A, "worker"),
                (B, "worker"),
            ):
                self._role(host, role)
            self._await_ready()

    def stop(self) -> None:
        """Stop all of it in order, the servers last."""
        roles = {name: one for name, one in self._running.items() if name not in {LEDGER, RUNWAY}}
        for process in roles.values():
            process.terminate()
        for name, process in roles.items():
            assert process.wait(_STOPS_WITHIN_S) in {0, -signal.SIGTERM}, self.log(name)[-4000:]
        for name in (LEDGER, RUNWAY):
            self._stop_server(self._running[name])

    @staticmethod
    def _stop_server(server: Process) -> None:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(_STOPS_WITHIN_S)

    def forget(self) -> None:
        """Let go of what was killed or has stopped."""
        for process in self._running.values():
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def pid(self, host: str) -> int:
        """Give the process of a worker, which must be the one that was started."""
        assert self._running[host].poll() is None, self.log(host)[-4000:]
        return self._running[host].pid

    def log(self, name: str) -> str:
        """Read what a process wrote."""
        return self._output(name).read_text()

    def logged(self, name: str, action: str) -> list[Mapping[str, Any]]:
        """List the entries of a process's log that name an action."""
        lines = [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("action") == action]

    @staticmethod
    def logged_at(entry: Mapping[str, Any]) -> float:
        """Tell when something was logged (seconds since 1970)."""
        return datetime.fromisoformat(entry["at"]).timestamp()

    def _server(self, host: str, name: str) -> Process:
        program = [sys.executable, str(Path(__file__).with_name("servers.py")), name]
        return self._spawn(host, host, *program, str(self._home / name), self.network.addresses[host])

    def _role(self, host: str, role: str) -> None:
        self._spawn(host, host if role == "worker" else role, sys.executable, "-P", "-m", "invoicing.cli", role)

    def _spawn(self, host: str, name: str, *program: str) -> Process:
        own = {
            "INVOICING_DATABASE_URL": self.database_url,
            "INVOICING_REDIS_URL": self._redis_url,
            "INVOICING_HOST": self.network.addresses[WEB],
            "INVOICING_PORT": str(_PORT),
            "INVOICING_DRILLS": "1",
            "INVOICING_SLOTS": str(SLOTS),
        }
        is_server = name in {LEDGER, RUNWAY}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("INVOICING_")}
        with self._output(name).open("wb") as output:
            self._running[name] = subprocess.Popen(
                self.network.command(host, *program),
                stdin=subprocess.PIPE if is_server else subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_server else output,
                stderr=output,
                env=inherited | own,
            )
        return self._running[name]

    def _output(self, name: str) -> Path:
        return self._home / f"{name}.log"

    async def _customer(self) -> str:
        engine = make_engine(self.database_url)
        try:
            async with transaction(engine) as session:
                made = await customers.add_customer(session, _SLUG, "North", 10_000, 100_000)
                return await customers.create_key(session, Role.CUSTOMER, "hosts", made.id)
        finally:
            await engine.dispose()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not (self._answers() and all(self.logged(name, "worker.ready") for name in (A, B))):
            ended = [name for name, one in self._running.items() if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError("\n".join(f"{name}: {self.log(name)[-4000:]}" for name in ended or self._running))
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def running(home: Path) -> Iterator[Site]:
    """Have the service run on hosts of its own while the block does."""
    with ExitStack() as stack:
        network = Network([LEDGER, RUNWAY, WEB, OFFICE, A, B, CUSTOMER])
        site = Site(network, home)
        stack.callback(site.forget)
        stack.callback(network.close)
        site.start()
        yield site
        site.stop()


def _said(server: Process) -> str:
    """Read the URL that a server prints once it answers."""
    assert server.stdout is not None
    url = server.stdout.readline().decode().strip()
    assert url, "the server did not start"
    return url
