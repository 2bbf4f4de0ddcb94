"""Launching a child process; imports nothing heavy, so that the first one is on its way before all else is loaded."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from workers.slate import BYTES, Slate

PROGRAM = ("-m", "workers.child")


@dataclass(frozen=True)
class Launched:
    """A process that loads its code and waits to be told its surroundings."""

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    slate: Slate


def launch(program: Sequence[str] = PROGRAM) -> Launched:
    """Launch a child (`program` are Python's arguments); it needs to know nothing yet."""
    environment = {name: os.environ[name] for name in ("PATH", "LANG", "INVOICING_LOG_LEVEL") if name in os.environ}
    with tempfile.TemporaryFile() as page:
        page.truncate(BYTES)
        ours, theirs = socket.socketpair()
        descriptors = (theirs.fileno(), page.fileno())
        command = [sys.executable, *program, *map(str, descriptors)]
        try:
            process = subprocess.Popen(  # noqa: S603 - no shell; the arguments are ours
                command, pass_fds=descriptors, stdin=subprocess.DEVNULL, env=environment
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Launched(process, ours, Slate(page.fileno()))


_ahead: list[Launched] = []


def launch_ahead() -> None:
    """Launch the first child, while this process still loads its own code and the servers start."""
    _ahead.append(launch())


def launched_ahead() -> Launched | None:
    """Take the child that was launched ahead, if one was."""
    return _ahead.pop() if _ahead else None
