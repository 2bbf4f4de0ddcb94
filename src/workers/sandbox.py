"""A child process seen from its worker: started, warmed up, told to perform or to stop, limited, killed."""

import asyncio
import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from invoicing.jobs.model import Claim, JobError, Outcome
from invoicing.jobs.tracing import Traces
from workers.launching import PROGRAM, Launched, launch
from workers.messages import (
    DROP,
    FREEZE,
    LONGEST_LINE,
    STILL,
    THAW,
    WARM_UP,
    Surroundings,
    attempt_of,
    line,
    outcome_of,
    perform_message,
    read,
    stop_message,
)
from workers.slate import Slate
from workers.standstill import Standstill, Why
from workers.weight import give_weight

log = logging.getLogger(__name__)

LONGEST_WARM_UP_S = 120.0
"""A child that needs longer to load or to warm up never will."""

_LIMIT_OF_NICE_0 = 20
"""The limit on priorities counts from 1 (nice 19) to 40 (nice -20)."""


@dataclass(frozen=True)
class Ended:
    """How an attempt ended, as its child says it."""

    attempt: tuple[UUID, int]
    """The job and the number."""
    outcome: Outcome
    took: timedelta


def _ended(word: Mapping[str, Any]) -> Ended:
    return Ended(attempt_of(word), outcome_of(word), timedelta(seconds=word["took_s"]))


class ChildGone(Exception):  # noqa: N818 - what happened, not an error of ours
    """The process ended, or was ended, while it performed."""

    def __init__(self, error: JobError) -> None:
        """Say what that makes the attempt fail with that was being performed."""
        super().__init__(error.message)
        self.error = error


class ChildProcess:
    """One child process; performs what one order asks for, then the next."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",
        slate: Slate,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Wrap a process that was just started."""
        self.process = process
        self.nice = 0
        self.performed = 0
        self.worked_s = 0.0
        """For how long it has been at its orders (seconds)."""
        self.warm = False
        """Whether every kind was warmed up; if not, a kind is when it is first needed."""
        self.standstill = Standstill()
        """For how long it was not at the present order, by the event loop's clock."""
        self._slate = slate
        self._reader = reader
        self._writer = writer
        self.traces: Traces | None = None
        """Who wants to know of checkpoints; the child speaks of them only where it was told to."""
        self.ended_for: JobError | None = None
        """What its attempt failed with, once it was gone in the middle of one."""
        self._to_be_frozen = False
        self._killed_for: JobError | None = None

    @classmethod
    async def start(
        cls, around: Surroundings, program: Sequence[str] = PROGRAM, launched: Launched | None = None
    ) -> "ChildProcess":
        """Start a child, or take one that was launched before, and wait until it takes orders."""
        launched = launched or launch(program)
        try:
            reader, writer = await asyncio.open_connection(sock=launched.channel, limit=LONGEST_LINE)
        except BaseException:
            launched.process.kill()
            await asyncio.to_thread(launched.process.wait)
            raise
        child = cls(launched.process, launched.slate, reader, writer)
        try:
            writer.write(line(asdict(around)))
            async with asyncio.timeout(LONGEST_WARM_UP_S):
                await child._hear()
        except BaseException:
            await child.close()
            raise
        return child

    async def warm_up(self) -> None:
        """Have every kind warmed up; it must have no order. One that fails at it is of no more use, and is closed."""
        try:
            self._writer.write(line(WARM_UP))
            async with asyncio.timeout(LONGEST_WARM_UP_S):
                _report(await self._hear())
        except BaseException:
            await self.close()
            raise
        self.warm = True

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self.process.poll() is None

    async def perform(self, claims: Sequence[Claim]) -> AsyncGenerator[list[Ended], None]:
        """Have attempts performed one after the other; gives how they ended, as the child says it.

        Raises `ChildGone` where it ends before it has said all. Whoever leaves the loop early must `close` the child.
        """
        self._killed_for, self._to_be_frozen, self.standstill = None, False, Standstill()
        self.performed += len(claims)
        began = time.monotonic()
        self._slate.begun = 0
        all_said = False
        try:
            self._writer.write(line(perform_message(claims)))
            while not all_said:
                message = await self._hear()
                if message == STILL:
                    self._stand_still()
                    continue
                if "kept" in message:
                    self._note_checkpoint(message)
                    continue
                if "warming" in message:
                    self._note_warming(message)
                    continue
                yield [_ended(word) for word in message["ended"]]
                all_said = message["all_said"]
        except (EOFError, ConnectionError, ValueError, LookupError) as error:
            await self._reap()
            self.ended_for = self._killed_for or self._died()
            raise ChildGone(self.ended_for) from error
        finally:
            self.worked_s += time.monotonic() - began
            if not all_said:
                self.kill()  # what it would still say must never be taken for the outcome of another attempt
            elif self._to_be_frozen:
                self.thaw()  # it had said all already when it was stopped: its next order must find it going on

    @property
    def begun(self) -> int:
        """How many of the attempts of the present order have begun, whether or not the child can be asked."""
        return self._slate.begun

    def stop(self, attempt: tuple[UUID, int], why: str | None) -> None:
        """Ask an attempt to stop at its next checkpoint; `None`: to go on after all."""
        self._tell(stop_message(attempt, why))

    def drop(self) -> None:
        """Ask it to begin no more of the present order, and to say how those ended that did."""
        self._tell(DROP)

    def freeze(self) -> None:
        """Stop the process as soon as it holds nothing open; one that cannot answer goes on."""
        self._to_be_frozen = True
        self._tell(FREEZE)

    def thaw(self) -> None:
        """Have the process go on."""
        self._to_be_frozen = False
        if Why.FROZEN in self.standstill.since:
            self.standstill.end(Why.FROZEN, asyncio.get_running_loop().time())
            self._signal(signal.SIGCONT)
        self._tell(THAW)

    def _stand_still(self) -> None:
        if self._to_be_frozen and Why.FROZEN not in self.standstill.since:
            self.standstill.begin(Why.FROZEN, asyncio.get_running_loop().time())
            self._signal(signal.SIGSTOP)

    def _note_checkpoint(self, message: Mapping[str, Any]) -> None:
        if self.traces is not None:
            self.traces.checkpoint(*attempt_of(message), message["kept"], message["began_ns"], message["ended_ns"])

    def _note_warming(self, message: Mapping[str, Any]) -> None:
        now = asyncio.get_running_loop().time()
        if message["warming"]:
            self.standstill.begin(Why.WARMING, now)
        else:
            self.standstill.end(Why.WARMING, now)
            _report(message)

    def _tell(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(line(message))

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self, because: JobError | None = None) -> None:
        """End the process at once; `because` is what its attempt fails with."""
        self._killed_for = self._killed_for or because
        self._signal(signal.SIGKILL)

    def renice(self, nice: int) -> bool:
        """Give the process less weight, or more; tells whether the operating system allowed it."""
        if nice == self.nice:
            return True
        try:
            give_weight(self.pid, nice)
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

    def _died(self) -> JobError:
        code = self.process.returncode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return JobError("child_died", f"The process that did the work {how}.")


def _report(warmed: Mapping[str, Any]) -> None:
    """Log which kinds could not be warmed up: they are tried all the same when they are needed."""
    for kind, error in warmed["failed"].items():
        log.error("%s is cold: %s", kind, error, extra={"action": "child.cold", "kind": kind})


def may_raise_priority() -> bool:
    """Tell whether a process that was given less weight may be given its full weight again."""
    if os.geteuid() == 0:
        return True
    least, _ = resource.getrlimit(resource.RLIMIT_NICE) if sys.platform == "linux" else (0, 0)
    return least == resource.RLIM_INFINITY or least >= _LIMIT_OF_NICE_0


def resident_mb(pid: int) -> int:
    """Read how much memory a process holds (MB); 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE") // 1_048_576
    except (OSError, IndexError, ValueError):
        return 0
