"""Whatever is killed, and when: the next start works and has everything that was committed."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest


async def test_a_second_start_has_the_data_and_the_addresses_of_the_first(machine: Any, client: Any) -> None:
    first = machine.up()
    assert await client.write(first) == (1, 1)
    assert machine.down() == 0
    assert machine.servers() == []

    second = machine.up()

    assert (second["postgres"], second["redis"]) == (first["postgres"], first["redis"])
    assert await client.count(second) == (1, 1)


async def test_nothing_is_lost_when_everything_is_killed_at_once(machine: Any, client: Any) -> None:
    for times in range(1, 4):
        assert await client.write(machine.up()) == (times, times)
        machine.kill_everything()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
async def test_servers_stop_cleanly_by_themselves_when_their_supervisor_is_killed(machine: Any, client: Any) -> None:
    await client.write(machine.up())

    machine.down(signal.SIGKILL)

    assert machine.is_quiet_within(10)
    assert "database system is shut down" in (machine.home / "logs/postgres.log").read_text()
    assert "ready to exit" in (machine.home / "logs/redis.log").read_text()


async def test_a_start_right_after_the_supervisor_was_killed_takes_over(machine: Any, client: Any) -> None:
    first = machine.up()
    await client.write(first)
    machine.down(signal.SIGKILL)

    second = machine.up()

    assert (second["postgres"], second["redis"]) == (first["postgres"], first["redis"])
    assert await client.count(second) == (1, 1)


@pytest.mark.parametrize("killed_server", [1, 2], ids=["postgres", "redis"])
async def test_a_start_after_one_server_and_the_supervisor_were_killed(
    machine: Any, client: Any, killed_server: int
) -> None:
    first = machine.up()
    await client.write(first)
    os.kill(first["pids"][killed_server], signal.SIGKILL)  # PostgreSQL's children outlive this by a moment
    machine.down(signal.SIGKILL)

    assert await client.count(machine.up()) == (1, 1)


@pytest.mark.parametrize("delay", [0.2, 0.4, 0.6, 0.8, 1.0, 1.3])
async def test_a_first_start_cut_off_at_any_instant_is_made_good_by_the_next(
    machine: Any, client: Any, delay: float
) -> None:
    machine.boot()
    await asyncio.sleep(delay)
    machine.kill_everything()

    told = machine.up()

    assert await client.write(told) == (1, 1)
    assert not (machine.home / "postgres.unfinished").exists()


@pytest.mark.parametrize("delay", [0.2, 0.25, 0.3, 0.4])
async def test_a_recovery_cut_off_at_any_instant_is_made_good_by_the_next(
    machine: Any, client: Any, delay: float
) -> None:
    await client.write(machine.up())
    machine.kill_everything()
    machine.boot()
    await asyncio.sleep(delay)
    machine.kill_everything()

    assert await client.write(machine.up()) == (2, 2)


async def test_a_pid_file_whose_number_went_to_another_program_is_healed(machine: Any, client: Any) -> None:
    await client.write(machine.up())
    machine.kill_everything()
    give_pid_file_to_another_program(machine.home / "postgres" / "postmaster.pid")

    assert await client.count(machine.up()) == (1, 1)


async def test_a_pid_file_left_empty_by_a_power_cut_is_healed(machine: Any, client: Any) -> None:
    await client.write(machine.up())
    machine.kill_everything()
    (machine.home / "postgres" / "postmaster.pid").write_text("")

    assert await client.count(machine.up()) == (1, 1)


async def test_a_torn_last_entry_of_redis_costs_that_entry_alone(machine: Any, client: Any) -> None:
    told = machine.up()
    await client.write(told)
    await client.write(told)
    machine.kill_everything()
    (appended,) = (machine.home / "redis" / "appendonlydir").glob("*.incr.aof")
    os.truncate(appended, appended.stat().st_size - 3)

    assert await client.count(machine.up()) == (2, 1)


def test_ctrl_c_in_the_terminal_reaches_the_supervisor_alone(machine: Any) -> None:
    told = machine.up()

    os.killpg(told["pids"][0], signal.SIGINT)

    time.sleep(0.5)
    assert all(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in told["pids"])
    assert machine.down() == 0


def give_pid_file_to_another_program(pid_file: Path) -> None:
    """Write a living process of the same user into PostgreSQL's pid file: its user's own, or ours as that user."""
    _, *rest = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *rest]) + "\n")
