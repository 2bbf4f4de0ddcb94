"""What breaks, and what mends it again: each a block at whose end, however it ends, nothing of ours stays broken."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from invoicing.cli.drill_measures import Blow
from invoicing.cli.drill_site import Process, Site
from invoicing.cli.faults import Fault
from invoicing.kit.embedded.process import wait_until
from invoicing.transport import connect

_WHOLE_WITHIN_S = 120.0

_GUARD = 'while read -r pid; do set -- "$@" "$pid"; done; test $# -eq 0 || kill -CONT "$@"'
"""Reads process ids until its standard input ends, which it does at the latest when we die, and lets them all go on."""


@contextmanager
def killed(site: Site, process: Process) -> Iterator[Blow]:
    """Kill a process; `up` starts it again, and the block ends when it has."""
    with _ended(site, process, signal.SIGKILL) as blow:
        yield blow


@contextmanager
def restarted(site: Site, process: Process) -> Iterator[Blow]:
    """End PostgreSQL by a fast shutdown, which breaks every connection; `up` starts it again."""
    with _ended(site, process, signal.SIGINT) as blow:
        yield blow


@contextmanager
def _ended(site: Site, process: Process, number: signal.Signals) -> Iterator[Blow]:
    names = {one.name for one in site.processes()}
    at = _send(site, [process.pid], number)
    try:
        yield Blow(at, f"{number.name} to {process.name} (process {process.pid})")
    finally:
        wait_until(lambda: _whole(site, names, process), _WHOLE_WITHIN_S)


def _whole(site: Site, names: set[str], before: Process) -> bool:
    now = {one.name: one.pid for one in site.processes()}
    return names <= now.keys() and now[before.name] != before.pid


@contextmanager
def children_killed(site: Site, worker: Process) -> Iterator[Blow]:
    """Kill every child of a worker, which starts others."""
    children = [pid for pid in site.family(worker.pid) if pid != worker.pid]
    at = _send(site, children, signal.SIGKILL)
    yield Blow(at, f"SIGKILL to {len(children)} child processes of {worker.name} (process {worker.pid})")


@contextmanager
def stopped(site: Site, process: Process, *, with_family: bool) -> Iterator[Blow]:
    """Stop a process, alone or with all below it; whatever becomes of us, it goes on."""
    guard = subprocess.Popen(  # noqa: S603 - the arguments are a fixed text
        ["/bin/sh", "-c", _GUARD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    pids: list[int] = []
    try:
        at = _stop(site, [process.pid], guard.stdin, pids)
        if with_family:  # looked for only now: what is stopped starts no others
            _stop(site, [pid for pid in site.family(process.pid) if pid != process.pid], guard.stdin, pids)
        yield Blow(at, f"SIGSTOP to {process.name} (process {process.pid}{' and all below' if with_family else ''})")
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        guard.communicate()


def _stop(site: Site, pids: Sequence[int], guard: IO[bytes], noted: list[int]) -> float:
    """Stop processes, each of which is noted before, with the guard too."""
    noted += pids
    guard.write("".join(f"{pid}\n" for pid in pids).encode())
    guard.flush()
    return _send(site, pids, signal.SIGSTOP) if pids else time.time()


@contextmanager
def flushed(site: Site, process: Process) -> Iterator[Blow]:
    """Have this machine's own Redis forget everything."""
    asyncio.run(_flush(str(site.told["redis_url"])))
    yield Blow(time.time(), f"FLUSHALL to {process.name} (process {process.pid})")


async def _flush(url: str) -> None:
    client = connect(url, connections=1)
    try:
        async with asyncio.timeout(10):
            await client.flushall()
    finally:
        await client.aclose()


def _send(site: Site, pids: Sequence[int], number: signal.Signals) -> float:
    """Send a signal to processes of the site; gives the moment before the first."""
    if not pids or not all(site.family(pid) for pid in pids):
        raise Fault("The process that this drill is about ended just now by itself.", "Try again.")
    at = time.time()
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
    return at
