"""Hosts as network namespaces on one bridge, and the ways between them: lost without a word, and found again.

Nothing of it is seen outside the namespaces: the bridge lives in one of its own, and every address with it.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

_PREFIX = "invoicing-hosts"
_NAMESPACES = Path("/run/netns")
_NOWHERE = "02:00:00:00:00:01"
"""An Ethernet address that no host has: what is sent there is flooded by the bridge and taken in by nobody."""

_CLONE_NEWNET = 0x40000000  # linux/sched.h


class Network:
    """A bridge with a host for each name; `close` removes all of it, with whatever still runs there."""

    def __init__(self, names: Sequence[str]) -> None:
        """Lay it out; raises `CalledProcessError` where the machine does not let us."""
        self._run = f"{_PREFIX}-{_owner(os.getpid())}"
        self.addresses = {name: f"10.77.0.{place}" for place, name in enumerate(names, 10)}
        self._cards = {name: f"02:00:0a:4d:00:{place:02d}" for place, name in enumerate(names, 10)}
        try:
            self._make("hub")
            _ip("-n", self._space("hub"), "link", "add", "bridge", "type", "bridge")
            _ip("-n", self._space("hub"), "link", "set", "bridge", "up")
            for name in names:
                self._join(name)
        except BaseException:
            self.close()
            raise

    def _make(self, name: str) -> None:
        _ip("netns", "add", self._space(name))
        _ip("-n", self._space(name), "link", "set", "lo", "up")

    def _join(self, name: str) -> None:
        hub, host = self._space("hub"), self._space(name)
        self._make(name)
        _ip("-n", hub, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host)
        _ip("-n", hub, "link", "set", name, "master", "bridge", "up")
        _ip("-n", host, "link", "set", "eth0", "address", self._cards[name], "up")
        _ip("-n", host, "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
        for other in self.addresses.keys() - {name}:
            self._point(name, other, self._cards[other])

    def close(self) -> None:
        """Remove every host, ending what still runs there."""
        _remove(self._run)

    def command(self, host: str, *program: str) -> list[str]:
        """Say how a program is started on a host: it becomes the process that is started, with the same pid."""
        return [_program(), "netns", "exec", self._space(host), *program]

    def lose_way(self, one: str, other: str) -> None:
        """Lose all that two hosts send to each other, without a word to either."""
        self._point(one, other, _NOWHERE)
        self._point(other, one, _NOWHERE)

    def find_way(self, one: str, other: str) -> None:
        """Have what two hosts send to each other arrive again."""
        self._point(one, other, self._cards[other])
        self._point(other, one, self._cards[one])

    def _point(self, here: str, there: str, card: str) -> None:
        """Tell a host where another one is; it does not ask, so that nobody tells it that there is no answer."""
        way = ("neighbour", "replace", self.addresses[there], "dev", "eth0", "lladdr", card, "nud", "permanent")
        _ip("-n", self._space(here), *way)

    def pull_plug(self, host: str) -> None:
        """Disconnect a host from all others, at the far end of its cable."""
        _ip("-n", self._space("hub"), "link", "set", host, "down")

    def plug_in(self, host: str) -> None:
        """Connect it again."""
        _ip("-n", self._space("hub"), "link", "set", host, "up")

    @contextmanager
    def entered(self, host: str) -> Iterator[None]:
        """Be on a host: this thread, those that it starts, and every socket that they open while the block runs."""
        with Path(f"/proc/self/task/{threading.get_native_id()}/ns/net").open("rb") as before:
            with (_NAMESPACES / self._space(host)).open("rb") as there:
                _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())

    def _space(self, host: str) -> str:
        return f"{self._run}-{host}"


def what_is_missing() -> str | None:
    """Say why hosts cannot be made on this machine; None where they can. Removes what killed runs left behind."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    if shutil.which("ip") is None:
        return "`ip` is not installed (Debian's package iproute2)"
    try:
        _sweep()
        Network(["probe"]).close()
    except subprocess.CalledProcessError as error:
        return f"this machine makes no network namespaces: {error.stderr.decode().strip()}"
    return None


def is_curable(missing: str) -> bool:
    """Tell whether what is missing can simply be installed."""
    return missing.startswith("`ip`")


def _sweep() -> None:
    """Remove the hosts of runs whose process is gone."""
    names = {path.name for path in _NAMESPACES.glob(f"{_PREFIX}-*")} if _NAMESPACES.is_dir() else set()
    for run in {found[0] for name in names if (found := re.match(rf"{_PREFIX}-\d+-\d+", name))}:
        pid = int(run.split("-")[2])
        if run != f"{_PREFIX}-{_owner(pid)}":
            _remove(run)


def _owner(pid: int) -> str:
    """Name a process so that no later one has the same name."""
    try:
        return f"{pid}-{psutil.Process(pid).create_time():.0f}"
    except psutil.NoSuchProcess:
        return ""


def _remove(run: str) -> None:
    for path in _NAMESPACES.glob(f"{run}-*"):
        for pid in _ip("netns", "pids", path.name).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", path.name)


def _ip(*arguments: str) -> str:
    return subprocess.run([_program(), *arguments], capture_output=True, check=True).stdout.decode()


def _program() -> str:
    return shutil.which("ip") or "ip"


def _enter(space: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(space, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
