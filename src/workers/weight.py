"""The weight of a child process: how much of the CPU it gets, and how soon it gives it up to whoever wakes.

`nice` alone does little on Linux. With `sched_autogroup_enabled`, each session is a group, and groups are equals: a low
priority inside one counts for nothing against PostgreSQL's processes, which have sessions of their own (sched(7)). And
whoever wakes waits for the time slice of what runs to end, some 3 ms, while a small job wakes six processes one after
another. So a child leads a session; its group gets the priority that the child gets; and larger work gets the longest
slice there is, since Linux 6.12 and newer have a shorter slice go at once before a longer one (sched_setattr(2)).
Where a system knows none of that, or does not allow it, the priority is all there is.
"""

import ctypes
import os
import platform
import struct
import sys
from contextlib import suppress
from pathlib import Path

_LONGEST_SLICE_NS = 100_000_000
_USUAL_SLICE = 0

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}.get(platform.machine()) if sys.platform == "linux" else None
"""The number of the system call: the C library has a function for it from glibc 2.41 on only."""

_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
"""`struct sched_attr`: size, policy, flags, nice, priority, runtime, deadline, period."""

_SCHED_OTHER = 0


def lead_group() -> None:
    """Begin a session, and with it a group, of one's own, where the system schedules by groups."""
    if Path("/proc/self/autogroup").exists():
        with suppress(PermissionError):  # it leads one already
            os.setsid()


def give_weight(pid: int, nice: int) -> None:
    """Give a process that leads its group a priority; above 0 it is larger work, and gives way to whoever wakes.

    Raises PermissionError where the system does not allow the priority, ProcessLookupError where the process is gone.
    """
    os.setpriority(os.PRIO_PROCESS, pid, nice)
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice), encoding="ascii")
    _give_slice(pid, nice, _LONGEST_SLICE_NS if nice > 0 else _USUAL_SLICE)


def _give_slice(pid: int, nice: int, slice_ns: int) -> None:
    if _SCHED_SETATTR is not None:
        wanted = _ATTRIBUTES.pack(_ATTRIBUTES.size, _SCHED_OTHER, 0, nice, 0, slice_ns, 0, 0)
        ctypes.CDLL(None).syscall(_SCHED_SETATTR, pid, wanted, 0)
