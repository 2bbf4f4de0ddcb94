"""`invoicing drill` against a real `up`: it breaks, measures and tells; and what it broke goes on, however it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = [sys.executable, "-P", "-m", "invoicing.cli"]
LEASE_S = 3
WITHIN_S = "60"
"""The promised bounds are for a machine with time to spare; a test must tell wrong from slow."""

pytestmark = pytest.mark.timeout(240)


def environment(home: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INVOICING_")}
    return inherited | {"INVOICING_HOME": str(home), "INVOICING_SLOTS": "2", "INVOICING_LEASE_S": str(LEASE_S)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("drill") / "home"
    output = home.with_suffix(".out")
    with output.open("wb") as file:
        up = subprocess.Popen(
            [*COMMAND, "up", "--port", "0", "--drills"],
            env=environment(home),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until((home / "run.json").exists, 120, output.read_text)
        yield home
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(90) == 0, output.read_text()


def until(holds: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)


def process(home: Path, name: str) -> psutil.Process:
    told = json.loads((home / "run.json").read_text())
    return psutil.Process(next(one["pid"] for one in told["processes"] if one["name"] == name))


def drill(home: Path, *arguments: str) -> tuple[int, Any]:
    done = subprocess.run(
        [*COMMAND, "drill", *arguments, "--yes", "--json", "--within", WITHIN_S],
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout, done.stderr
    (told,) = json.loads(done.stdout)["drills"]
    return done.returncode, told


def test_a_worker_that_is_stopped_past_its_lease_loses_its_jobs_once(home: Path) -> None:
    code, told = drill(home, "worker-stop")
    assert (code, told["outcome"], told["reasons"]) == (0, "kept", [])
    assert "SIGSTOP to worker-1" in told["broken"]
    assert "rescued" in told["detected"]["seen"]
    assert told["detected"]["after_s"] < told["mended_after_s"]
    assert told["mended_after_s"] >= LEASE_S + 4
    assert told["recovered_s"] >= told["detected"]["after_s"]


def test_what_redis_forgets_is_put_back(home: Path) -> None:
    before = process(home, "redis").pid
    code, told = drill(home, "redis-flush")
    assert (code, told["outcome"], told["reasons"]) == (0, "kept", [])
    assert told["refusals"] == {}
    assert process(home, "redis").pid == before


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_stopped_goes_on_when_the_drill_is_cut_off(home: Path, how: signal.Signals) -> None:
    redis = process(home, "redis")
    drilling = subprocess.Popen([*COMMAND, "drill", "redis-down", "600", "--yes"], env=environment(home))
    until(lambda: redis.status() == psutil.STATUS_STOPPED or drilling.poll() is not None, 60)
    assert redis.status() == psutil.STATUS_STOPPED
    drilling.send_signal(how)
    assert drilling.wait(40) == (-how if how is signal.SIGKILL else 130)
    until(lambda: redis.status() != psutil.STATUS_STOPPED, 5)


def test_nobody_is_there_to_answer_so_nothing_is_broken(home: Path) -> None:
    before = process(home, "worker-1").pid
    asked = subprocess.run(
        [*COMMAND, "drill", "worker-kill"],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert "Promised:" in asked.stdout
    assert process(home, "worker-1").pid == before
