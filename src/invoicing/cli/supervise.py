"""Keeping the parts and the embedded servers of one `up` alive: whoever dies is started again, with back-off."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from invoicing.cli.part import WEB
from invoicing.cli.parts import Leftovers, Part, Running
from invoicing.cli.ports import address, free_port, host_in_url
from invoicing.kit.embedded import EmbeddedServerError
from invoicing.kit.embedded.process import wait_until
from invoicing.kit.embedded.server import EmbeddedServer
from invoicing.settings import Settings

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_WELL_AFTER_S = 30.0
"""A part that ran this long counts as well: its next death is its first again."""

_DRAIN_S = 60.0
"""How long parts may take to end in order; a kind's grace time is seconds, so this is far beyond what is normal."""


def with_url(settings: Settings, setting: str, url: str) -> Settings:
    """Put the URL of a server into its setting."""
    if setting == "database_url":
        return replace(settings, database_url=url)
    return replace(settings, redis_url=url)


@dataclass
class Upkeep:
    """A part with its history."""

    part: Part
    running: Running
    told: bool = False
    deaths: int = 0
    due: float | None = None
    """When to start it again; None while it runs."""
    metrics_port: int | None = None
    """Where it tells of itself; the web process does so where it answers everything else."""


class Supervisor:
    """Starts, watches and stops; everything happens in the calling thread, which must be the main one."""

    def __init__(self, home: Path, servers: Mapping[str, EmbeddedServer], tell: Callable[[str], None]) -> None:
        """Watch over a home folder; `servers` by the setting that holds their URL, `tell` says what happened."""
        self._logs = home / "logs"
        self._leftovers = Leftovers(home / "parts.lock")
        self._servers = servers
        self._server_due: dict[str, tuple[int, float]] = {}
        self._tell = tell
        self._settings: Settings | None = None
        self.kept: list[Upkeep] = []

    def clear(self) -> None:
        """End what an earlier `up` left behind."""
        if killed := self._leftovers.clear():
            self._tell(f"ended what an earlier start left behind: {', '.join(map(str, killed))}")

    def start_servers(self, settings: Settings) -> Settings:
        """Start the servers and put their URLs into the settings."""
        for setting, server in self._servers.items():
            if not server.files.data.exists():
                self._tell(f"creating {server.title}'s data (the first start only)")
            settings = with_url(settings, setting, server.start())
        return settings

    def load(self, parts: Sequence[Part]) -> None:
        """Start parts, which load their code and wait."""
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.kept += [Upkeep(part, self._start(part)) for part in parts]
        self._name_parts()

    def go(self, settings: Settings) -> None:
        """Have all parts begin that have not yet."""
        self._settings = settings
        for upkeep in self.kept:
            if not upkeep.told:
                upkeep.metrics_port = self._next_metrics_port(upkeep.part)
                upkeep.running.go(self._settings_of(upkeep))
                upkeep.told = True

    @property
    def settings(self) -> Settings:
        """What the parts were told."""
        assert self._settings is not None
        return self._settings

    def processes(self) -> list[tuple[str, str, int]]:
        """List what runs: (name, role, pid), parts first, then servers."""
        parts = [(kept.part.name, kept.part.role, kept.running.pid) for kept in self.kept if kept.due is None]
        servers = [(server.name, server.name, server.pid) for server in self._servers.values()]
        return [*parts, *((name, role, pid) for name, role, pid in servers if pid is not None)]

    def metrics(self) -> dict[str, str]:
        """Give the URLs of what tells a monitoring system of itself, by name; none where that is off."""
        if self.settings.metrics_port is None:
            return {}
        host = host_in_url(self.settings.metrics_host)
        ports = {kept.part.name: kept.metrics_port for kept in self.kept if kept.metrics_port is not None}
        webs = {kept.part.name: f"{address(self.settings)}/metrics" for kept in self.kept if kept.part.role == WEB}
        return webs | {name: f"http://{host}:{port}/metrics" for name, port in ports.items()}

    def away(self) -> list[str]:
        """Name what does not run and will be started again."""
        servers = [server.name for server in self._servers.values() if server.pid is None]
        return [*(kept.part.name for kept in self.kept if kept.due is not None), *servers]

    def look(self) -> bool:
        """Notice who died and start again whose time has come; tells whether other processes run now than before."""
        before = self.processes()
        self._keep_servers()
        for upkeep in self.kept:
            if upkeep.due is None and not upkeep.running.alive:
                self._died(upkeep)
            if upkeep.due is not None and upkeep.due <= time.monotonic():
                self._start_again(upkeep)
        if changed := before != self.processes():
            self._name_parts()
        return changed

    def drain(self, hurry: Callable[[], bool]) -> None:
        """Have all parts end in order, and kill what takes too long, or all as soon as `hurry` says so."""
        ending = [upkeep.running for upkeep in self.kept if upkeep.due is None]
        for running in ending:
            running.ask_to_end()
        if not wait_until(lambda: hurry() or not any(running.alive for running in ending), _DRAIN_S):
            names = ", ".join(running.part.name for running in ending if running.alive)
            self._tell(f"{names} did not end within {_DRAIN_S:.0f} s and will be killed")
        self.kill()

    def kill(self) -> None:
        """End all parts now."""
        for upkeep in self.kept:
            upkeep.running.kill()
        wait_until(lambda: not any(upkeep.running.alive for upkeep in self.kept), 5.0)
        self.kept = []
        self._name_parts()

    def stop_servers(self) -> None:
        """Stop the servers, the last to go."""
        for server in reversed(list(self._servers.values())):
            server.stop()

    def _settings_of(self, upkeep: Upkeep) -> Settings:
        return replace(self.settings, metrics_port=upkeep.metrics_port)

    def _next_metrics_port(self, part: Part) -> int | None:
        first = self.settings.metrics_port
        if first is None or part.role == WEB:
            return None
        port = first + sum(kept.metrics_port is not None for kept in self.kept)
        return port if first and port < 65536 else free_port(self.settings.metrics_host)

    def _start(self, part: Part) -> Running:
        return Running(part, self._logs / f"{part.name}.log", self._leftovers.descriptor)

    def _died(self, upkeep: Upkeep) -> None:
        lived = time.monotonic() - upkeep.running.started
        upkeep.deaths = 1 if lived > _WELL_AFTER_S else upkeep.deaths + 1
        delay = min(_FIRST_DELAY_S * 2 ** (upkeep.deaths - 1), _LONGEST_DELAY_S)
        upkeep.due = time.monotonic() + delay
        name, how = upkeep.part.name, upkeep.running.how_it_ended()
        self._tell(f"{name} died ({how}); starting it again in {delay:g} s, see {upkeep.running.log_file}")

    def _start_again(self, upkeep: Upkeep) -> None:
        upkeep.running.kill()  # what it may have left in its session
        upkeep.running = self._start(upkeep.part)
        upkeep.running.go(self._settings_of(upkeep))
        upkeep.due = None
        self._tell(f"{upkeep.part.name} started again (pid {upkeep.running.pid})")

    def _keep_servers(self) -> None:
        for setting, server in self._servers.items():
            if server.pid is not None:
                continue
            failures, due = self._server_due.get(setting, (0, 0.0))
            if due <= time.monotonic():
                self._start_server_again(setting, server, failures)

    def _start_server_again(self, setting: str, server: EmbeddedServer, failures: int) -> None:
        self._tell(f"{server.title} died; starting it again")
        try:
            url = server.start()
        except EmbeddedServerError as error:
            delay = min(_FIRST_DELAY_S * 2**failures, _LONGEST_DELAY_S)
            self._server_due[setting] = (failures + 1, time.monotonic() + delay)
            self._tell(f"{error} (next try in {delay:g} s)")
            return
        self._server_due.pop(setting, None)
        self._tell(f"{server.title} started again (pid {server.pid})")
        if url != getattr(self.settings, setting):  # somebody took its port meanwhile
            self._settings = with_url(self.settings, setting, url)
            for upkeep in self.kept:
                upkeep.running.ask_to_end()

    def _name_parts(self) -> None:
        self._leftovers.name([upkeep.running.pid for upkeep in self.kept])
