"""A real Alertmanager on a free port, from the package `prometheus-alertmanager`."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")

QUIET = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def required() -> str:
    """Give the program; without one the test is skipped here, and fails where everything has to be tested."""
    if PROGRAM is None:
        how = "no Alertmanager here: apt-get install --no-install-recommends prometheus-alertmanager"
        if os.environ.get("CI") == "true":
            pytest.fail(how)
        pytest.skip(how)
    return PROGRAM


class Alertmanager:
    """What it knows."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    async def alerts(self, **query: str) -> list[dict[str, Any]]:
        """Give the alerts that stand there, with what they are suppressed by."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{self.url}/api/v2/alerts", params=query)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    async def post(self, *alerts: dict[str, Any]) -> None:
        """Tell it of alerts as Prometheus does."""
        async with httpx.AsyncClient() as client:
            (await client.post(f"{self.url}/api/v2/alerts", json=alerts)).raise_for_status()


@asynccontextmanager
async def alertmanager(folder: Path, configuration: str = QUIET, port: int = 0) -> AsyncIterator[Alertmanager]:
    """Run one while the block runs."""
    program = required()
    written = _written(folder, configuration)
    port = port or _free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={written}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        running = Alertmanager(port)
        await _ready(running, process)
        yield running
    finally:
        process.kill()
        await process.wait()


async def _ready(running: Alertmanager, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "it ended at once"
            try:
                if (await client.get(f"{running.url}/-/ready")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def _written(folder: Path, configuration: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "alertmanager.yaml"
    path.write_text(configuration)
    return path


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
