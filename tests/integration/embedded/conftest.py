"""A machine with one home folder on it, on which supervisors run in processes of their own and are ended unkindly."""

import json
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import redis

_SCRIPT = Path(__file__).with_name("supervisor.py")


class Machine:
    """Starts supervisors of both servers on one home folder, and looks at what they leave behind."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._started: list[subprocess.Popen[str]] = []

    def boot(self) -> "subprocess.Popen[str]":
        """Start a supervisor without waiting for it."""
        self._started.append(
            subprocess.Popen(
                [sys.executable, str(_SCRIPT), str(self.home)],
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return self._started[-1]

    def up(self) -> dict[str, Any]:
        """Start a supervisor and wait until it tells the URLs and pids, or the error."""
        return self.answer(self.boot())

    def answer(self, supervisor: "subprocess.Popen[str]") -> dict[str, Any]:
        """Wait for what a supervisor tells."""
        assert supervisor.stdout is not None
        assert select.select([supervisor.stdout], [], [], 60.0)[0], "the supervisor said nothing"
        told: dict[str, Any] = json.loads(supervisor.stdout.readline())
        return told

    def down(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the latest supervisor and wait for its end; returns its exit code."""
        self._started[-1].send_signal(number)
        return self._started[-1].wait(30)

    def servers(self) -> list[psutil.Process]:
        """Find every process that works in a server's data folder."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, FileNotFoundError):
                if Path(process.cwd()).is_relative_to(self.home.resolve()):
                    found.append(process)
        return found

    def kill_everything(self) -> None:
        """SIGKILL to supervisors and to all processes of their servers."""
        victims = [psutil.Process(each.pid) for each in self._started if each.poll() is None] + self.servers()
        for victim in victims:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        for each in self._started:
            each.wait(10)
        assert self.is_quiet_within(10)
        self._remove_segments("postgres.unfinished")

    def is_quiet_within(self, patience: float) -> bool:
        """Tell whether all servers end by themselves in time."""
        deadline = time.monotonic() + patience
        while self.servers():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def leave(self) -> None:
        """End what a test left running."""
        self.kill_everything()
        self._remove_segments("postgres")
        for each in self._started:
            assert each.stdout is not None
            each.stdout.close()

    def _remove_segments(self, folder: str) -> None:
        """Remove the 56 bytes of shared memory that a killed PostgreSQL leaves for its next start; none comes here."""
        for pid_file in self.home.glob(f"{folder}/postmaster.pid"):
            lines = pid_file.read_text().splitlines()
            if len(lines) > 6:  # line 7: key and id of the segment
                subprocess.run(["ipcrm", "-m", lines[6].split()[1]], check=False, capture_output=True)


class Client:
    """Writes to both servers and reads back."""

    async def write(self, urls: dict[str, Any]) -> tuple[int, int]:
        """Commit a row and push an entry; returns how many there are of each."""
        connection = await asyncpg.connect(urls["postgres"])
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (id int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        await connection.close()
        with redis.Redis.from_url(urls["redis"]) as client:
            client.rpush("kept", "x")
        return await self.count(urls)

    async def count(self, urls: dict[str, Any]) -> tuple[int, int]:
        """Return the numbers of rows and of entries."""
        connection = await asyncpg.connect(urls["postgres"])
        rows: int = await connection.fetchval("SELECT count(*) FROM kept")
        await connection.close()
        with redis.Redis.from_url(urls["redis"]) as client:
            entries = client.llen("kept")
        assert isinstance(entries, int)
        return rows, entries


@pytest.fixture
def client() -> Client:
    """Make a client of both servers."""
    return Client()


@pytest.fixture
def machine_with(roomy_path: Path) -> Iterator[Callable[[Path], Machine]]:
    """Make machines by the path of their home below `roomy_path`; all that runs on them is ended after the test."""
    assert roomy_path.is_dir()  # asked for here so that it outlives the servers in it
    made: list[Machine] = []

    def make(home: Path) -> Machine:
        made.append(Machine(home))
        return made[-1]

    yield make
    for machine in made:
        machine.leave()


@pytest.fixture
def machine(machine_with: Callable[[Path], Machine], roomy_path: Path) -> Machine:
    """Make a machine with a fresh home."""
    return machine_with(roomy_path / "home")
