"""Executed as a script between the service and a server: becomes the server's user, then becomes the server.

It imports nothing of the project and runs in a process of its own with a single thread, because between `fork` and
`exec` of a process with threads no Python code is safe. Arguments: the descriptor of the server's lock; uid and gid,
or `-` twice; the signal that the server gets when its starter dies, or 0; the starter's pid; the program; what it gets.
"""

import ctypes  # here and not where it is used: the server's user may be unable to read Python's own files
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h
STARTER_IS_GONE = 75  # EX_TEMPFAIL of sysexits.h


def main(arguments: list[str]) -> None:
    """Hand over to the server; returns never."""
    lock, uid, gid, parting, starter, program, *rest = arguments
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if parting != "0" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(parting), 0, 0, 0)  # after setuid, which clears it
        if os.getppid() != int(starter):  # it died before we could ask
            sys.exit(STARTER_IS_GONE)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a starter that blocks SIGTERM would make the server deaf to it
    os.ftruncate(int(lock), 0)
    os.pwrite(int(lock), f"{os.getpid()}\n".encode(), 0)
    os.execv(program, [program, *rest])  # noqa: S606 - no shell wanted; the starter names the program


if __name__ == "__main__":
    main(sys.argv[1:])
