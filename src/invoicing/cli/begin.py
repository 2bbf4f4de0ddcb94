"""Bringing everything up: servers, tables, parts, keys, until the service answers and a worker is warm."""

import asyncio
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from invoicing.cli import schema
from invoicing.cli.dev_keys import ensure_keys
from invoicing.cli.faults import Fault
from invoicing.cli.observe import Observer, Snapshot
from invoicing.cli.parts import Leftovers, Part
from invoicing.cli.supervise import Supervisor
from invoicing.kit.db import make_engine
from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, Home
from invoicing.kit.embedded.server import EmbeddedServer
from invoicing.settings import Settings

_READY_WITHIN_S = 180.0
_HOPELESS_AFTER = 3
"""A part that dies this often before the service was ready will not be better the next time."""

TICK_S = 0.05


def refuse_taken_port(host: str, port: int) -> None:
    """Refuse a port on which somebody listens: choosing another in silence would leave clients with the wrong address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise Fault(
                f"Cannot listen on {host}:{port}: {error.strerror}.",
                f"Choose another port with --port (for example --port {port + 1 if port < 65535 else 8080}), "
                "or --port 0 for any that is free; or stop what listens there.",
            ) from error


def free_port(host: str) -> int:
    """Find a free port for `--port 0`; the parts must all be told the same."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def address(settings: Settings) -> str:
    """Give the URL under which this machine reaches the web process."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{settings.port}"


class Beginning:
    """The steps from nothing to ready; each may be cut short by a signal."""

    def __init__(
        self, home: Home, settings: Settings, tell: Callable[[str], None], stopping: Callable[[], bool]
    ) -> None:
        """Prepare for a held home folder."""
        self.settings = settings
        self.stopping = stopping
        self._home = home.path
        self._tell = tell
        self._leftovers = Leftovers(self._home / "parts.lock")
        servers: dict[str, EmbeddedServer] = {}
        if settings.database_url is None:
            servers["database_url"] = EmbeddedPostgres(home, "invoicing")
        if settings.redis_url is None:
            servers["redis_url"] = EmbeddedRedis(home)
        self._servers = servers
        self.supervisor = Supervisor(self._home, self._leftovers, servers, tell)
        self.observer: Observer | None = None

    def run(self, workers: int) -> bool:
        """Bring all up; False when a signal came first."""
        if killed := self._leftovers.clear():
            self._tell(f"ended what an earlier start left behind: {', '.join(map(str, killed))}")
        refuse_taken_port(self.settings.host, self.settings.port)
        self.supervisor.load([Part("web", "web"), Part("worker-1", "worker"), Part("dispatcher", "dispatcher")])
        for step in (self._start_servers, self._prepare_database, lambda: self._let_parts_begin(workers)):
            if self.stopping():
                return False
            step()
        return self._await_ready()

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ledger said last."""
        return None if self.observer is None else self.observer.latest

    def end(self) -> None:
        """Look at the ledger no more."""
        if self.observer is not None:
            self.observer.stop()

    def _start_servers(self) -> None:
        for setting, server in self._servers.items():
            if not server.files.data.exists():
                self._tell(f"creating {server.title}'s data (the first start only)")
            self.settings = replace(self.settings, **{setting: server.start()})

    def _prepare_database(self) -> None:
        url, _ = self.settings.servers()
        try:
            before, newest = asyncio.run(schema.current(url)), schema.newest()
        except (OSError, TimeoutError) as error:
            raise Fault(
                f"The database of INVOICING_DATABASE_URL does not answer: {error}.", "Start it, or correct the URL."
            ) from error
        if before != newest:
            from invoicing.cli.migrate import migrate  # noqa: PLC0415 - a second start need not import Alembic

            self._tell(f"bringing the database from revision {before or 'none'} to {newest}")
            migrate(url)

    def _let_parts_begin(self, workers: int) -> None:
        url, _ = self.settings.servers()
        self.supervisor.go(self.settings)
        self.observer = Observer(url)
        self.observer.start()
        new = asyncio.run(_ensure_keys(url, self._home))
        if new:
            self._tell(f"wrote keys for {', '.join(new)} to {self._home / 'dev-keys.json'}")
        later = [Part(f"worker-{number}", "worker") for number in range(2, workers + 1)]
        self.supervisor.load([Part("watchdog", "watchdog"), *later])
        self.supervisor.go(self.settings)

    def _await_ready(self) -> bool:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self.stopping():
            self.supervisor.look()
            self._refuse_hopeless()
            if self._a_worker_serves() and answers(f"{address(self.settings)}/readyz"):
                return True
            if time.monotonic() > deadline:
                raise Fault(
                    f"The service was not ready within {_READY_WITHIN_S:.0f} s.",
                    f"See the logs in {self._home / 'logs'}, and run `invoicing doctor`.",
                )
            time.sleep(TICK_S)
        return False

    def _a_worker_serves(self) -> bool:
        observer = self.observer
        workers = [pid for _, role, pid in self.supervisor.processes() if role == "worker"]
        return observer is not None and any(observer.works(pid) for pid in workers)

    def _refuse_hopeless(self) -> None:
        for upkeep in self.supervisor.kept:
            if upkeep.deaths >= _HOPELESS_AFTER:
                raise Fault(
                    f"{upkeep.part.name} does not start ({upkeep.running.how_it_ended()}). It said last:\n"
                    f"{upkeep.running.last_words()}",
                    f"Put that right and start again; all it wrote is in {upkeep.running.log_file}.",
                )


async def _ensure_keys(url: str, home: Path) -> list[str]:
    engine = make_engine(url, pool_size=1, name="invoicing-up")
    try:
        return await ensure_keys(engine, home)
    finally:
        await engine.dispose()


def answers(url: str) -> bool:
    """Tell whether a URL is answered with success."""
    with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - http
        return bool(response.status == 200)
    return False
