"""Freezing a child that ends its order at the same moment: its next order must not find it frozen for ever."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import aclosing
from typing import cast

import psutil
import pytest

from workers.messages import FREEZE, STILL, THAW, line
from workers.sandbox import ChildProcess
from workers.slate import BYTES, Slate

ENDED = {"ended": [], "all_said": True}


class Ear:
    """What a child is told, kept instead of sent."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def slate() -> Slate:
    with tempfile.TemporaryFile() as page:
        os.ftruncate(page.fileno(), BYTES)
        return Slate(page.fileno())


@pytest.mark.parametrize("said", [[STILL, ENDED], [ENDED]], ids=["stopped on its last words", "told after them"])
async def test_a_child_that_ends_while_it_is_to_be_frozen_goes_on(
    process: "subprocess.Popen[bytes]", slate: Slate, said: list[dict[str, object]]
) -> None:
    reader, ear = asyncio.StreamReader(), Ear()
    child = ChildProcess(process, slate, reader, cast("asyncio.StreamWriter", ear))
    async with aclosing(child.perform([])) as ends:
        first = asyncio.ensure_future(anext(ends))
        await asyncio.sleep(0)  # the order is written
        child.freeze()
        reader.feed_data(b"".join(line(word) for word in said))
        assert await first == []
        with pytest.raises(StopAsyncIteration):
            await anext(ends)
    assert psutil.Process(process.pid).status() != psutil.STATUS_STOPPED
    assert ear.told[-2:] == [line(FREEZE), line(THAW)]
