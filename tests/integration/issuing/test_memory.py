"""A large invoice is made in the memory of one chunk: three times the lines need no more of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from invoicing.jobs.model import State

pytestmark = pytest.mark.asyncio(loop_scope="module")

_FEW, _MANY = 1_000, 3_000
_TEXT = "All work and no play. " * 180
"""Twice in each line: the many lines make each file 16 MB longer, and a tree of one some 150 MB larger."""
_MOST_MORE_MB = 120  # the heap of the rules' engine settles 50 to 85 MB higher after some thousand lines, then stays


def _wordy(request: bytes) -> bytes:
    read = json.loads(request)
    for line in read["payload"]["lines"]:
        line["description"] = line["note"] = _TEXT
    return json.dumps(read).encode()


async def _peak_mb(office: Any, request: bytes) -> float:
    """Have an invoice made by a child that did nothing before; gives the most memory that it held."""
    job = await office.submit(await office.customer(), request)
    attempt = await office.start(job)
    child = await office.child_at(job)
    await attempt
    ended = await office.job(job)
    assert ended.state is State.SUCCEEDED, ended.error
    peak = _peak_of(child.pid)
    await child.close()
    return peak


def _peak_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


async def test_three_times_the_lines_need_no_more_memory(office: Any, bills: Callable[[int], bytes]) -> None:
    few = await _peak_mb(office, _wordy(bills(_FEW)))
    many = await _peak_mb(office, _wordy(bills(_MANY)))
    assert many - few < _MOST_MORE_MB, f"{few:.0f} MB for {_FEW} lines, {many:.0f} MB for {_MANY}"
