"""What every measurement needs: servers of its own, a migrated ledger, a customer, processes that end with it."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import psutil

from invoicing.customers import service, store
from invoicing.customers.model import Role
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, hold

ROOT = Path(__file__).parents[1]
_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 30.0
_UNLIMITED = {"rate_per_s": 1e6, "burst": 10_000_000, "max_waiting": 100_000_000}


@dataclass(frozen=True)
class Servers:
    """A PostgreSQL with the tables in it, and a Redis."""

    database_url: str
    redis_url: str
    key: str
    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """What the service is told beside, by environment variables."""

    def environment(self) -> dict[str, str]:
        """Give the environment of a process of the service."""
        return {
            **os.environ,
            "INVOICING_DATABASE_URL": self.database_url,
            "INVOICING_REDIS_URL": self.redis_url,
            "INVOICING_DRILLS": "1",
            "INVOICING_LOG_LEVEL": "WARNING",
            "BENCHMARK_DATABASE_URL": re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", self.database_url),
            "BENCHMARK_KEY": self.key,
            **self.settings,
        }


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both servers, on disk and as durable as `invoicing up` has them, with one customer whom no limit stops."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="invoicing-bench-")))
        home = stack.enter_context(hold(folder / "home"))
        postgres, redis = EmbeddedPostgres(home, "invoicing"), EmbeddedRedis(home)
        database_url, redis_url = postgres.start(), redis.start()
        stack.callback(postgres.stop)
        stack.callback(redis.stop)
        config = alembic.config.Config(ROOT / "alembic.ini")
        config.attributes["url"] = database_url
        alembic.command.upgrade(config, "head")
        (key,) = asyncio.run(keys_of(database_url, "bench"))
        yield Servers(database_url, redis_url, key, folder)


async def keys_of(url: str, slug: str, keys: int = 1) -> list[str]:
    """Add a customer whom no limit stops, with keys."""
    engine = make_engine(url)
    async with transaction(engine) as session:
        customer = await service.ensure_customer(session, slug, slug.capitalize())
        await store.set_limits(session, customer.id, _UNLIMITED)
        made = [await service.create_key(session, Role.CUSTOMER, f"{slug} {n}", customer.id) for n in range(keys)]
    await engine.dispose()
    return made


def ops_key(url: str) -> str:
    """Make a key for ops."""

    async def make() -> str:
        engine = make_engine(url)
        async with transaction(engine) as session:
            key = await service.create_key(session, Role.OPS, "bench")
        await engine.dispose()
        return key

    return asyncio.run(make())


@contextmanager
def process(
    command: list[str], environment: Mapping[str, str], folder: Path = ROOT
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process in a folder until the block ends."""
    with tempfile.TemporaryFile() as told:
        started = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=told, stderr=told, stdin=subprocess.DEVNULL
        )
        try:
            yield started
        except BaseException:
            told.seek(0)
            sys.stderr.write(f"{' '.join(command)} said:\n{told.read()[-2000:].decode(errors='replace')}\n")
            raise
        finally:
            below = _below(started.pid)
            started.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                started.wait(_ENDS_WITHIN_S)
            started.kill()
            for orphan in below:  # a pool of processes may outlive its owner, and would disturb what is measured next
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()


def _below(pid: int) -> list[psutil.Process]:
    """List what a process started, and what these started."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


@contextmanager
def web(app: str, servers_: Servers) -> Iterator[str]:
    """Serve an application with uvicorn, as `invoicing web` does; gives its address."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", app, "--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--log-level", "warning", "--lifespan", "on"),
    ]
    with process(command, servers_.environment()) as started:
        wait_for_port(port, started)
        yield f"http://127.0.0.1:{port}"


def free_port() -> int:
    """Find a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, started: "subprocess.Popen[bytes]") -> None:
    """Wait until something listens."""
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise RuntimeError(f"a process of the measurement ended with code {started.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


def call(method: str, url: str, key: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - decoded JSON
    """Make one request and decode its answer."""
    request = urllib.request.Request(
        url,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json", **(headers or {})},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def resident_mb(pid: int) -> float:
    """Read how much memory a process holds (MB)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def own_mb(pid: int) -> float:
    """Read the part of it that it shares with nobody (MB); one that has just ended holds nothing."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+) kB", rollup, re.MULTILINE)) / 1e3
