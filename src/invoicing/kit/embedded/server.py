"""What embedded servers have in common: claim what an earlier run left, start on a free port, wait, stop."""

import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Self

from invoicing.kit.embedded import process
from invoicing.kit.embedded.account import account_for
from invoicing.kit.embedded.errors import EmbeddedServerError, PortTakenError, refused
from invoicing.kit.embedded.files import ServerFiles, read_text, write_text
from invoicing.kit.embedded.home import Home
from invoicing.kit.embedded.ports import choose_port, draw_port
from invoicing.kit.embedded.process import Command, Escalation, Surroundings

_PORTS_TO_TRY = 5
_PORT_TAKEN = "Address already in use"


class EmbeddedServer(ABC):
    """One server with its data in a held home folder; `start` may be called again after it ended for any reason."""

    title: ClassVar[str]
    programs: ClassVar[frozenset[str]]
    escalation: ClassVar[Escalation]
    patience: ClassVar[float] = 120.0  # seconds to get ready; recovery after a crash can take long
    name: ClassVar[str]

    def __init__(self, home: Home) -> None:
        self.files = ServerFiles(home.path, self.name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process; None when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> str:
        """Start the server and return its URL once it answers. Call from the main thread (see `process.spawn`).

        A server that an earlier run left behind is stopped first. Raises `EmbeddedServerError`.
        """
        if self.pid is not None:
            raise EmbeddedServerError(f"{self.title} is running already, as process {self.pid}.")
        try:
            return self._start()
        except OSError as error:
            raise refused(
                f"{self.title} did not start", f"{error.strerror}: {error.filename}", self.files.log
            ) from error

    def stop(self) -> None:
        """Stop the server, gently if it lets us; does nothing when it is not running."""
        if self._process is not None:
            process.stop(self._process, self.escalation)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> str:
        self.files.log.parent.mkdir(mode=0o700, exist_ok=True)
        lock = process.claim(self.files.lock, self.programs, self.escalation)
        try:
            account = account_for(self.files.data)
            around = Surroundings(self.files.data, account, lock, self.escalation[0][0])
            self._prepare(around)
            port = self._start_on_a_port(around)
        finally:
            os.close(lock)  # the server's processes hold it on
        return self._url(port)

    def _start_on_a_port(self, around: Surroundings) -> int:
        port = choose_port(self.files.port)
        for _ in range(_PORTS_TO_TRY):
            with suppress(PortTakenError):
                self._process = self._spawn(port, around)
                if read_text(self.files.port) != str(port):
                    write_text(self.files.port, str(port))
                return port
            port = draw_port()
        raise EmbeddedServerError(
            f"{self.title} found every port taken that it tried, the last being {port}. Start again."
        )

    def _spawn(self, port: int, around: Surroundings) -> "subprocess.Popen[bytes]":
        with self.files.log.open("ab") as log:
            told_before = log.tell()
            started = process.spawn(self._command(port, around), around, log)
        try:
            self._await_ready(started, told_before)
        except BaseException:
            process.stop(started, ((signal.SIGKILL, 10.0),))
            raise
        return started

    def _await_ready(self, started: "subprocess.Popen[bytes]", told_before: int) -> None:
        deadline = time.monotonic() + self.patience
        while not self._is_ready(started.pid, self._log_from(told_before)):
            if started.poll() is not None:
                told = self._log_from(told_before)
                if _PORT_TAKEN in told:
                    raise PortTakenError
                raise refused(f"{self.title} did not start", told, self.files.log)
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"{self.title} was not ready within {self.patience:.0f} s. It may be recovering from a crash: "
                    f"see {self.files.log}, then start again."
                )
            time.sleep(0.005)

    def _log_from(self, offset: int) -> str:
        with self.files.log.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")

    @abstractmethod
    def _prepare(self, around: Surroundings) -> None:
        """Make the data folder and the password if they are missing; refuse data that cannot be used."""

    @abstractmethod
    def _command(self, port: int, around: Surroundings) -> Command:
        """Return what to execute for a server on this port."""

    @abstractmethod
    def _is_ready(self, pid: int, told: str) -> bool:
        """Tell whether the server answers, from what it `told` its log since it was started."""

    @abstractmethod
    def _url(self, port: int) -> str:
        """Return how clients reach it."""


def working_folder(folder: Path) -> str:
    """Name the data folder so that a server without rights on the folders above it can still open it.

    On Linux the link `/proc/self/cwd` leads straight to the working directory, which was entered before rights were
    dropped: no parent is traversed, none has its mode changed, and its path may be of any length.
    """
    return "/proc/self/cwd" if sys.platform == "linux" else str(folder)
