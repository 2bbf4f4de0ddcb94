"""The processes of one `up`: started in sessions of their own, logged, signalled, cleared away after a crash."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from invoicing.cli.faults import Fault
from invoicing.cli.part import settings_line
from invoicing.kit.embedded.process import wait_until
from invoicing.settings import Settings

_LEFT_ALONE_FOR_S = 1.0
_CLEARED_WITHIN_S = 5.0


@dataclass(frozen=True)
class Part:
    """A process to run: its name in messages and logs, and its role."""

    name: str
    role: str


class Leftovers:
    """A lock that every part inherits: free exactly when none of them is left, whatever happened to `up`."""

    def __init__(self, path: Path) -> None:
        """Open the lock file, which names the processes."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def clear(self) -> list[int]:
        """Take the lock, ending what an earlier `up` left behind; gives the processes that had to be killed."""
        if wait_until(self._take, _LEFT_ALONE_FOR_S):  # parts of an `up` that is gone end by themselves
            return []
        killed = [pid for pid in self._named() if _kill_group(pid)]
        if not wait_until(self._take, _CLEARED_WITHIN_S):
            raise Fault(
                f"Processes of an earlier start ({', '.join(map(str, self._named())) or 'unknown'}) do not end.",
                "End them with `kill -9`, then start again.",
            )
        return killed

    def name(self, pids: list[int]) -> None:
        """Write down which processes inherit the lock."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, "".join(f"{pid}\n" for pid in pids).encode(), 0)

    def _named(self) -> list[int]:
        text = os.pread(self.descriptor, 65536, 0).decode(errors="replace")
        return [int(line) for line in text.split() if line.isdigit()]

    def _take(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False


class Running:
    """A part that was started."""

    def __init__(self, part: Part, log_file: Path, lock: int) -> None:
        """Start it; it loads its code and waits for `go`."""
        self.part = part
        self.log_file = log_file
        self.started = time.monotonic()
        with log_file.open("ab") as log:
            self._logged_before = log.tell()
            self.process = subprocess.Popen(  # noqa: S603 - no shell; the arguments are ours
                [sys.executable, "-P", "-m", "invoicing.cli.part", part.role],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches `up` alone, which then asks the parts to end
                pass_fds=(lock,),
            )

    def go(self, settings: Settings) -> None:
        """Give it its settings, upon which it begins to work; its standard input stays open for as long as we live."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # it died already: whoever reaps it will see
            self.process.stdin.write(settings_line(settings))
            self.process.stdin.flush()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def ask_to_end(self) -> None:
        """Have it finish what it must and end."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now, with all that it started."""
        if self.alive:
            _kill_group(self.pid)

    def last_words(self) -> str:
        """Give the end of what it wrote since it was started."""
        with self.log_file.open("rb") as log:
            log.seek(self._logged_before)
            lines = log.read()[-20_000:].decode(errors="replace").strip().splitlines()
        return "\n".join(f"  {line[:400]}" for line in lines[-5:]) or "  (it wrote nothing)"

    def how_it_ended(self) -> str:
        """Say how it ended, as in `killed by SIGKILL`."""
        code = self.process.returncode
        if code is not None and code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


def _kill_group(pid: int) -> bool:
    """Kill a session that we started; False when there is none, or the number belongs to something else by now."""
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid and _is_part(pid):
            os.killpg(pid, signal.SIGKILL)
            return True
    return False


def _is_part(pid: int) -> bool:
    with suppress(OSError):
        return b"invoicing.cli.part" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return not Path("/proc/self").exists()  # elsewhere the lock alone vouches for the number
