"""A real PostgreSQL and a real Redis for every test process, started when the first test asks for them.

Each process of pytest-xdist has its own pair (under a second to start), so that one test's FLUSHALL, publish or
restart is never another's. They end with their process, however that ends.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import alembic.command
import alembic.config
import asyncpg
import hypothesis
import pytest
import redis

from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedRedis, EmbeddedServerError, Home, hold

hypothesis.settings.register_profile("untimed", deadline=None)  # how fast something is, benchmarks tell
hypothesis.settings.load_profile("untimed")

_ALEMBIC = Path(__file__).parents[1] / "alembic.ini"
_TEMPLATE = "template_of_tests"
_IN_MEMORY = Path("/dev/shm")
_PREFIX = "invoicing-tests-"
_AUTOVACUUM_LEAVES_WITHIN_S = 30.0
_ROOM_NEEDED = 2 * 1024**3  # bytes; a session leaves well under 1 GiB, but other processes test beside it


@pytest.fixture(scope="session")
def server_home() -> Iterator[Home]:
    """Hold a folder for this process's servers: in memory where there is room, as cloning is then 5 times faster."""
    _sweep(_place())
    with _folder() as folder, hold(folder / "home") as home:
        yield home


@pytest.fixture
def roomy_path() -> Iterator[Path]:
    """Make a folder for a test that starts servers of its own; unlike `tmp_path` it is gone right after the test."""
    with _folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_url(server_home: Home) -> Iterator[str]:
    """Start a server whose role may create databases. Tests want `database_url`."""
    server = EmbeddedPostgres(server_home, "invoicing")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def template(postgres_url: str) -> str:
    """Make a migrated database without rows, to be cloned; returns its name."""
    with Administrator(postgres_url) as administrator:
        administrator.execute(f"CREATE DATABASE {_TEMPLATE}")
    config = alembic.config.Config(_ALEMBIC)
    config.attributes["url"] = named(postgres_url, _TEMPLATE)
    with ThreadPoolExecutor(1) as thread:  # migrations run an event loop of their own; this thread's is pytest's
        thread.submit(alembic.command.upgrade, config, "head").result()
    return _TEMPLATE


@pytest.fixture(scope="session")
def administrator(postgres_url: str) -> Iterator["Administrator"]:
    """One connection kept open for creating and dropping databases."""
    with Administrator(postgres_url) as administrator:
        yield administrator


@pytest.fixture
def database_url(postgres_url: str, template: str, administrator: "Administrator") -> Iterator[str]:
    """Make a fresh, migrated database of this test's own."""
    name = f"test_{uuid4().hex}"
    # Copying files takes 15 ms in memory (73 on disk); STRATEGY WAL_LOG, the default, 175 (199).
    administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield named(postgres_url, name)
    administrator.drop(name)


@pytest.fixture(scope="session")
def redis_server_url(server_home: Home) -> Iterator[str]:
    """Start a server. Tests want `redis_url`, which is empty."""
    server = EmbeddedRedis(server_home)
    yield server.start()
    server.stop()


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """Empty the Redis, in which no other test is at work."""
    with redis.Redis.from_url(redis_server_url) as client:
        client.flushall()
    return redis_server_url


class Administrator:
    """Runs statements from fixtures, on a connection and an event loop apart from the tests' own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> Self:
        self._connection = self._run(asyncpg.connect(self._url))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._connection.close())
        self._loop.close()

    def execute(self, statement: str) -> None:
        """Run one statement, outside any transaction."""
        self._run(self._connection.execute(statement))

    def drop(self, name: str) -> None:
        """Drop a database and whoever is still connected; autovacuum may not be forced, and leaves by itself."""
        deadline = time.monotonic() + _AUTOVACUUM_LEAVES_WITHIN_S
        while True:
            try:
                return self.execute(f"DROP DATABASE {name} WITH (FORCE)")
            except asyncpg.InsufficientPrivilegeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)


def named(url: str, database: str) -> str:
    """Point a server's URL at another of its databases."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_place()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _sweep(place: Path) -> None:
    """Remove what test processes left that were killed: their folders are old and nobody holds them."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(EmbeddedServerError, OSError):  # in use, or another user's
            if folder.stat().st_mtime < time.time() - 3600:
                with hold(folder / "home"):
                    shutil.rmtree(folder)


def _place() -> Path:
    """Return where the servers' data goes."""
    roomy = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM_NEEDED
    return _IN_MEMORY if roomy else Path(tempfile.gettempdir())
