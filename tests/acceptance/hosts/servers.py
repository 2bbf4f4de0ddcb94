"""Run as `python servers.py postgres|redis HOME ADDRESS`: the embedded server, reachable from the other hosts.

Prints its URL when it answers, and stops when its standard input is closed or its starter dies.
"""

import sys
from dataclasses import replace
from pathlib import Path

from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, hold
from invoicing.kit.embedded.ports import LOOPBACK
from invoicing.kit.embedded.process import Command, Surroundings

_NETWORK = "10.77.0.0/24"


class Postgres(EmbeddedPostgres):
    """Listens on every address of its host, and lets its network in by password."""

    def _prepare(self, around: Surroundings) -> None:
        super()._prepare(around)
        allowed = self.files.data / "pg_hba.conf"
        with allowed.open("a") as file:
            file.write(f"host all all {_NETWORK} scram-sha-256\n")

    def _command(self, port: int, around: Surroundings) -> Command:
        command = super()._command(port, around)
        return replace(command, arguments=(*command.arguments, "--listen_addresses=*"))


class Redis(EmbeddedRedis):
    """Listens on every address of its host."""

    def _command(self, port: int, around: Surroundings) -> Command:
        command = super()._command(port, around)
        return replace(command, stdin=command.stdin + b"bind *\n")


def main(name: str, home: str, address: str) -> None:
    """Serve until standard input ends."""
    with hold(Path(home)) as held:
        server = Postgres(held, "invoicing") if name == "postgres" else Redis(held)
        sys.stdout.write(server.start().replace(f"@{LOOPBACK}:", f"@{address}:") + "\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:4])
