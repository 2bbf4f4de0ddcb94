"""Larger work has less of the CPU and gives it up to whoever wakes, also against processes of other sessions."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.weight import give_weight

_CHILD = "from workers.weight import lead_group; lead_group(); print('ready', flush=True); input()"


@pytest.fixture
def pid() -> Iterator[int]:
    """Run a process as a child of a worker begins."""
    with subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.kill()


def told(pid: int, name: str, start: str) -> str:
    """Read what the system tells of a process; skips the test where it does not."""
    try:
        lines = Path(f"/proc/{pid}/{name}").read_text().splitlines()
    except OSError:
        pytest.skip(f"this system has no {name}")
    found = next((line for line in lines if line.startswith(start)), None)
    if found is None:
        pytest.skip(f"this system tells no {start}")
    return found.split()[-1]


def test_a_child_has_a_group_of_its_own_and_the_group_its_priority(pid: int) -> None:
    assert told(pid, "autogroup", "/autogroup") == "0"
    assert os.getsid(pid) == pid
    give_weight(pid, 10)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 10
    assert told(pid, "autogroup", "/autogroup") == "10"


def test_larger_work_has_the_longest_slice_and_small_work_the_usual_one(pid: int) -> None:
    usual = told(pid, "sched", "se.slice")
    give_weight(pid, 5)
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12):
        pytest.skip("this Linux gives every process the same slice")
    assert told(pid, "sched", "se.slice") == "100000000"
    if os.geteuid() == 0:
        give_weight(pid, 0)
        assert told(pid, "sched", "se.slice") == usual


def test_who_leads_a_session_already_goes_on() -> None:
    script = "from workers.weight import lead_group; lead_group(); lead_group(); print('on')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "on\n"
    with pytest.raises(ProcessLookupError):
        give_weight(2**22 + 1, 0)
