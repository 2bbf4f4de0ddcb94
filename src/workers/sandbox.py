"""A child process seen from its worker: started, warmed, told to perform or to stop, limited, killed."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from invoicing.jobs.model import Claim, Failed, JobError, Outcome
from workers.launching import PROGRAM, Launched, launch
from workers.messages import LONGEST_LINE, Surroundings, claim_message, line, outcome_of, read

log = logging.getLogger(__name__)

_MEMORY_CHECK_S = 0.25
_LONGEST_WARM_UP_S = 120.0


class ChildProcess:
    """One child process; performs one attempt at a time."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Wrap a process that was just started."""
        self.process = process
        self.nice = 0
        self.performed = 0
        self._reader = reader
        self._writer = writer
        self._killed_for: JobError | None = None

    @classmethod
    async def start(
        cls, around: Surroundings, program: Sequence[str] = PROGRAM, launched: Launched | None = None
    ) -> "ChildProcess":
        """Start a child, or take one that was launched before, and wait until it is warm."""
        launched = launched or launch(program)
        reader, writer = await asyncio.open_connection(sock=launched.channel, limit=LONGEST_LINE)
        child = cls(launched.process, reader, writer)
        try:
            writer.write(line(asdict(around)))
            async with asyncio.timeout(_LONGEST_WARM_UP_S):
                ready = await child._hear()
        except BaseException:
            await child.close()
            raise
        for kind, error in ready["cold"].items():
            log.error("%s is cold: %s", kind, error, extra={"action": "child.cold", "kind": kind})
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    async def perform(self, claim: Claim, *, memory_mb: int, timeout_s: float) -> Outcome:
        """Have an attempt performed, within limits; a child that dies or breaks them makes the attempt fail."""
        self._killed_for = None
        self.performed += 1
        self._writer.write(line(claim_message(claim)))
        guard = asyncio.create_task(self._guard(memory_mb, timeout_s))
        try:
            return _outcome_for(claim, await self._hear())
        except (EOFError, ConnectionError, ValueError):
            await self._reap()
            return Failed(self._killed_for or self._died())
        except BaseException:
            self.kill()  # what it would still say must never be taken for the outcome of another attempt
            raise
        finally:
            guard.cancel()

    def stop(self, why: str) -> None:
        """Ask the current attempt to stop at its next checkpoint."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(line({"stop": why}))

    def kill(self, because: JobError | None = None) -> None:
        """End the process at once; `because` is what its attempt fails with."""
        self._killed_for = self._killed_for or because
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    def renice(self, nice: int) -> bool:
        """Give the process less weight, or more; tells whether the operating system allowed it."""
        if nice == self.nice:
            return True
        try:
            os.setpriority(os.PRIO_PROCESS, self.pid, nice)
        except (PermissionError, ProcessLookupError):
            return False
        self.nice = nice
        return True

    async def close(self) -> None:
        """End the process and wait for it."""
        self.kill()
        await self._reap()

    async def _hear(self) -> dict[str, Any]:
        text = await self._reader.readline()
        if not text:
            raise EOFError
        return read(text)

    async def _reap(self) -> None:
        self._writer.close()
        self.kill()
        await asyncio.to_thread(self.process.wait)

    async def _guard(self, memory_mb: int, timeout_s: float) -> None:
        """Kill the process when it breaks a limit."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while loop.time() < deadline:
            if (held := resident_mb(self.pid)) > memory_mb:
                self.kill(JobError("memory_limit", f"The attempt needed {held} MB; {memory_mb} MB are allowed."))
                return
            await asyncio.sleep(min(_MEMORY_CHECK_S, max(0.0, deadline - loop.time())))
        self.kill(JobError("timeout", f"The attempt took longer than {timeout_s:.0f} s."))

    def _died(self) -> JobError:
        code = self.process.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return JobError("child_died", f"The process that did the work {how}.")


def _outcome_for(claim: Claim, message: Mapping[str, Any]) -> Outcome:
    if (message.get("id"), message.get("attempt")) != (str(claim.id), claim.attempt):
        raise ValueError("the child speaks of another attempt")
    return outcome_of(message)


def resident_mb(pid: int) -> int:
    """Read how much memory a process holds (MB); 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") // 1_048_576
    except (OSError, IndexError, ValueError):
        return 0
