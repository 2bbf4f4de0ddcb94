"""Homes of every kind: where data may lie, who may look into it, and what is said when it cannot work."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from invoicing.kit.embedded import EmbeddedPostgres, EmbeddedServerError, HomeInUseError, hold
from invoicing.kit.embedded.server import EmbeddedServer


async def test_a_home_below_a_closed_folder_works_and_no_mode_above_it_changes(
    machine_with: Callable[[Path], Any], client: Any, roomy_path: Path
) -> None:
    closed = roomy_path / "closed to others"
    closed.mkdir(mode=0o700)
    before = [path.stat().st_mode for path in (closed, *closed.parents)]

    assert await client.write(machine_with(closed / "my home ä").up()) == (1, 1)

    assert [path.stat().st_mode for path in (closed, *closed.parents)] == before


@pytest.mark.parametrize("length", [150, 1500])  # beyond a socket's 107 bytes, and beyond PostgreSQL's own 1,024
async def test_a_home_with_a_very_long_path_works(
    machine_with: Callable[[Path], Any], client: Any, roomy_path: Path, length: int
) -> None:
    home = roomy_path
    while len(str(home)) < length:
        home /= "long" * 12
    home.mkdir(parents=True)

    assert await client.write(machine_with(home).up()) == (1, 1)


def test_other_users_of_the_machine_can_read_neither_data_nor_passwords(machine: Any) -> None:
    machine.up()

    for path in (machine.home, machine.home / "postgres", machine.home / "redis"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in machine.home.glob("*.*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    arguments = [" ".join(server.cmdline()) for server in machine.servers()]
    for secret in (machine.home / "postgres.password", machine.home / "redis.password"):
        assert not any(secret.read_text().strip() in line for line in arguments)


async def test_neither_server_answers_without_the_password(machine: Any) -> None:
    told = machine.up()
    port = (machine.home / "postgres.port").read_text().strip()

    for user in ("app", "postgres"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host="127.0.0.1", port=int(port), user=user, password="guess", database="app")
    stranger = redis.Redis.from_url("redis://" + told["redis"].split("@")[1])
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_the_servers_listen_on_this_machine_alone(machine: Any) -> None:
    machine.up()

    addresses = {
        listening.laddr.ip for server in machine.servers() for listening in server.net_connections() if listening.laddr
    }
    assert addresses == {"127.0.0.1"}


async def test_the_database_is_set_up_to_lose_nothing(machine: Any) -> None:
    connection = await asyncpg.connect(machine.up()["postgres"])
    names = ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_encoding", "TimeZone", "jit")
    shown = [await connection.fetchval(f"SHOW {name}") for name in names]
    superuser = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()

    assert shown == ["on", "on", "on", "on", "UTF8", "UTC", "off"]
    assert superuser is False


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's servers run as that user")
def test_no_server_runs_as_root(machine: Any) -> None:
    machine.up()

    servers = machine.servers()
    assert len(servers) > 2
    assert all(server.uids().real != 0 and 0 not in server.gids() for server in servers)


async def test_a_lost_password_is_replaced(machine: Any, client: Any) -> None:
    first = machine.up()
    await client.write(first)
    machine.down()
    (machine.home / "postgres.password").unlink()
    (machine.home / "redis.password").unlink()

    second = machine.up()

    assert await client.count(second) == (1, 1)
    assert second["postgres"] != first["postgres"]
    assert second["redis"] != first["redis"]


async def test_a_port_that_somebody_took_between_two_runs_is_left_to_them(machine: Any, client: Any) -> None:
    await client.write(machine.up())
    machine.down()
    ports = [int((machine.home / f"{name}.port").read_text()) for name in ("postgres", "redis")]
    with socket.create_server(("127.0.0.1", ports[0])), socket.create_server(("127.0.0.1", ports[1])):
        told = machine.up()

        assert await client.count(told) == (1, 1)
        now = [int((machine.home / f"{name}.port").read_text()) for name in ("postgres", "redis")]
        assert set(now).isdisjoint(ports)


def test_a_port_taken_in_the_last_moment_is_left_to_its_taker(
    roomy_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taker, hold(roomy_path / "home") as home:
        taken = taker.getsockname()[1]
        monkeypatch.setattr("invoicing.kit.embedded.server.choose_port", lambda _: taken)  # it was free when asked

        with EmbeddedPostgres(home, "app") as server:
            assert server.files.port.read_text() != f"{taken}\n"


def test_the_second_of_two_starts_is_told_who_holds_the_home(machine: Any) -> None:
    first, second = machine.boot(), machine.boot()
    told = [machine.answer(first), machine.answer(second)]

    (winner,) = [each for each in told if "error" not in each]
    (loser,) = [each for each in told if "error" in each]
    assert f"is in use by process {winner['pids'][0]}" in loser["error"]


def test_a_home_is_free_again_when_its_holder_is_done(roomy_path: Path) -> None:
    with hold(roomy_path), pytest.raises(HomeInUseError, match=str(os.getpid())), hold(roomy_path):
        pass
    with hold(roomy_path):
        pass


def test_a_home_that_cannot_be_made_is_named_with_the_remedy(roomy_path: Path) -> None:
    (roomy_path / "file").write_text("")

    refusal = pytest.raises(
        EmbeddedServerError, match=r"Not a directory\. Choose a folder you may write to with --home"
    )
    with refusal, hold(roomy_path / "file" / "home"):
        pass


def test_data_of_another_major_version_is_left_alone(machine: Any) -> None:
    machine.up()
    machine.down()
    version = machine.home / "postgres" / "PG_VERSION"
    version.write_text("16\n")

    told = machine.up()

    assert "was written by PostgreSQL 16, and this release brings 18" in told["error"]
    assert "pg_dump" in told["error"]
    version.write_text("18\n")
    assert "postgres" in machine.up()


def test_damaged_data_is_named_with_the_log(machine: Any) -> None:
    machine.up()
    machine.down()
    (machine.home / "postgres" / "global" / "pg_control").write_bytes(b"")

    told = machine.up()

    assert "PostgreSQL did not start" in told["error"]
    assert "pg_control" in told["error"]


def test_a_server_that_died_can_be_started_again(roomy_path: Path) -> None:
    with hold(roomy_path / "home") as home:
        server: EmbeddedServer = EmbeddedPostgres(home, "app")
        url = server.start()
        assert server.pid is not None
        os.kill(server.pid, 9)
        while server.pid is not None:
            pass

        assert server.start() == url
        server.stop()
        assert server.pid is None
