"""Processes of servers: started apart from the terminal, found again after a crash, asked to stop ever more firmly.

A server inherits a locked descriptor, and so do all its children: the lock is free exactly when the last of them is
gone. That holds after any crash and needs neither process lists nor the rights to read them.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from invoicing.kit.embedded.account import Account
from invoicing.kit.embedded.errors import EmbeddedServerError

_LAUNCHER = Path(__file__).with_name("launch.py")
_TICK = 0.005  # seconds between two looks at a starting or stopping server
_ENDED = ("", "Z", "X")  # states of proc_pid_stat(5); where process 1 reaps nobody, zombies stay

Escalation = tuple[tuple[signal.Signals, float], ...]
"""Signals to send in turn, each with the seconds to wait for its effect."""


@dataclass(frozen=True)
class Command:
    """What to execute, and what it reads from standard input."""

    program: Path
    arguments: tuple[str, ...]
    stdin: bytes = b""


@dataclass(frozen=True)
class Surroundings:
    """What all processes of one server share."""

    folder: Path  # the working directory: entered before rights are dropped, so its parents may be closed to the server
    account: Account | None
    lock: int
    parting: signal.Signals  # what the server gets when the process that started it dies (Linux)


def claim(lock_file: Path, programs: frozenset[str], escalation: Escalation) -> int:
    """Take a server's lock, after stopping what an earlier run left behind; returns its descriptor."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if escalate(
        lambda: _try_lock(descriptor), lambda number: _signal_earlier(descriptor, programs, number), escalation
    ):
        return descriptor
    pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
    os.close(descriptor)
    raise EmbeddedServerError(
        f"processes of an earlier server (first of them: {pid}) are still at work and do not stop. "
        f"End them, then start again; they hold {lock_file}."
    )


def spawn(command: Command, around: Surroundings, output: BinaryIO | int) -> "subprocess.Popen[bytes]":
    """Start a server's process in a session of its own: Ctrl-C in the terminal does not reach it.

    On Linux it is asked to stop when this process dies, provided that this is the main thread: the kernel watches the
    *thread* that started it.
    """
    account = (str(around.account.uid), str(around.account.gid)) if around.account else ("-", "-")
    parting = around.parting if threading.current_thread() is threading.main_thread() else 0
    process = subprocess.Popen(  # noqa: S603 - no shell; the program comes from an installed wheel
        [
            *(sys.executable, "-I", "-S", str(_LAUNCHER)),
            *(str(around.lock), *account, str(int(parting)), str(os.getpid())),
            *(str(command.program), *command.arguments),
        ],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=around.folder,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # nobody's PGHOST or LD_PRELOAD leads it astray
        start_new_session=True,
        umask=0o077,
        pass_fds=(around.lock,),
    )
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:  # a server that ended at once has told its log why
        process.stdin.write(command.stdin)
    return process


def run(command: Command, around: Surroundings) -> tuple[int, str]:
    """Run a short-lived process of a server to its end; returns its exit code and all it wrote."""
    process = spawn(command, around, subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as pipe:
        output = pipe.read().decode(errors="replace")
    return process.wait(), output


def stop(process: "subprocess.Popen[bytes]", escalation: Escalation) -> None:
    """End a process of ours, with the gentlest signal that works."""
    if not escalate(lambda: process.poll() is not None, process.send_signal, escalation):
        raise EmbeddedServerError(f"process {process.pid} does not stop, not even when killed. Look at it with `ps`.")


def escalate(done: Callable[[], bool], send: Callable[[signal.Signals], None], escalation: Escalation) -> bool:
    """Send ever firmer signals until it is done; False when none had its effect in time."""
    if done():
        return True
    for number, patience in escalation:
        send(number)
        if wait_until(done, patience):
            return True
    return False


def wait_until(done: Callable[[], bool], patience: float) -> bool:
    """Wait until it is done; False when that takes more than `patience` seconds."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK)
    return True


def program_of(pid: int) -> str | None:
    """Name the program that a process executes; None when there is no such process, or only what is left of it."""
    if sys.platform == "linux":
        try:
            name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(") ")
        except OSError:
            return None
        return None if rest[:1] in _ENDED else name.partition("(")[2]
    shown = subprocess.run(  # noqa: S603 - no shell; the only argument that varies is a number
        ["/bin/ps", "-o", "state=,comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = shown.stdout.strip().partition(" ")
    return Path(command.strip()).name or None if state[:1] not in _ENDED else None


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _signal_earlier(descriptor: int, programs: frozenset[str], number: signal.Signals) -> None:
    """Signal the first process of an earlier server, unless it is gone and its number belongs to another program."""
    with suppress(ValueError, ProcessLookupError):
        pid = int(os.pread(descriptor, 32, 0))
        if program_of(pid) in programs:
            os.kill(pid, number)
