"""One `invoicing up` of the campaign: which processes it has now, and itself killed and started again."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SLOTS, WORKERS = 4, 2
_READY_WITHIN_S = 180.0


@dataclass(frozen=True)
class Process:
    """A process as `run.json` names it."""

    name: str
    role: str
    pid: int


class Site:
    """Everything on this machine, in a home folder and on a port of its own."""

    def __init__(self, home: Path) -> None:
        """Choose a port, which stays the same over restarts: clients keep their URL."""
        self.home = home
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self._port: int = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._up: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        """What `up` printed."""
        return self.home.with_suffix(".out")

    async def start(self) -> None:
        """Start `up` and wait until it says that it answers."""
        self._up = self._spawn()
        started, deadline = psutil.Process(self._up.pid).create_time(), time.monotonic() + _READY_WITHIN_S
        while not (self._run_file.exists() and self._run_file.stat().st_mtime > started):
            ended = self._up.poll() is not None
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"`up` {'ended' if ended else 'is not ready'}:\n{self.output.read_text()[-4000:]}")
            await asyncio.sleep(0.1)

    def _spawn(self) -> "subprocess.Popen[bytes]":
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INVOICING_")}
        options = ["--home", str(self.home), "--port", str(self._port), "--drills", "--workers", str(WORKERS)]
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "invoicing.cli", "up", *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=inherited | {"INVOICING_SLOTS": str(SLOTS), "INVOICING_EGRESS_ALLOW": "127.0.0.0/8"},
                start_new_session=True,
            )

    async def cut_power(self) -> None:
        """Kill `up`, with which everything goes, and start it again on what it left."""
        if self._up is not None:
            self._up.kill()
            await asyncio.to_thread(self._up.wait)
        await self.start()

    async def stop(self) -> int:
        """Stop in order; gives the exit code."""
        if self._up is None:
            return 0
        self._up.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self._up.wait, 120)
        except subprocess.TimeoutExpired:
            self._up.kill()
            return await asyncio.to_thread(self._up.wait)

    @property
    def told(self) -> dict[str, Any]:
        """What `run.json` says now; nothing while `up` itself is away."""
        with suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads(self._run_file.read_text())
            return told
        return {"processes": []}

    def processes(self, role: str) -> Sequence[Process]:
        """List the processes of a role that run now, always in the same order."""
        found = [Process(one["name"], one["role"], one["pid"]) for one in self.told["processes"]]
        return sorted((one for one in found if one.role == role), key=lambda one: one.name)

    def owns(self, pid: int) -> bool:
        """Tell whether a process belongs to this `up`."""
        with suppress(psutil.NoSuchProcess):
            return self._up is not None and any(one.pid == self._up.pid for one in psutil.Process(pid).parents())
        return False

    def key(self, role: str) -> str:
        """Give a working key."""
        keys: dict[str, str] = json.loads((self.home / "dev-keys.json").read_text())
        return keys[role]

    @property
    def _run_file(self) -> Path:
        return self.home / "run.json"
