"""The ping to the outside comes while every loop gets on, and stays away when one hangs."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from invoicing.kit.egress import Egress
from invoicing.transport import Transport, connect
from workers.deadman import Deadman
from workers.pulse import Pulses
from workers.watchdog import Watchdog

from ..workers.crew import until
from .conftest import HERE, Post
from .receiver import receiving, status


class Clock:
    """The clock of this machine, which can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Hanging(Watchdog):
    """A watchdog of which one loop waits for an answer that does not come."""

    def __init__(self, post: Post, transport: Transport, pulses: Pulses) -> None:
        super().__init__(post.engine, transport, every_s=0.02, pulses=pulses)
        self.answer = asyncio.Event()
        self.answer.set()
        self.hangs = asyncio.Event()

    async def reconcile(self) -> None:
        if not self.answer.is_set():
            self.hangs.set()
        await self.answer.wait()
        await super().reconcile()


@pytest.fixture
async def transport(redis_url: str) -> AsyncIterator[Transport]:
    transport = Transport(connect(redis_url))
    yield transport
    await transport.close()


async def test_a_loop_that_hangs_ends_the_pings_and_its_recovery_brings_them_back(
    post: Post, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    pulses = Pulses(clock)
    watchdog = Hanging(post, transport, pulses)
    async with receiving() as receiver:
        deadman = Deadman(f"{receiver.url}/secret-path", Egress(allowed=HERE), pulses.late, every_s=0.02)
        running = asyncio.gather(watchdog.run(), deadman.run())
        await receiver.wait_for(3)
        watchdog.answer.clear()
        await watchdog.hangs.wait()
        clock.ahead = 100.0  # more than a loop of this period may take, less than those of a minute may

        async def alone_is_late() -> bool:
            return list(pulses.late()) == ["reconcile"]

        await until(alone_is_late, 20)
        assert await deadman.ping() == "withheld"
        heard = len(receiver.got)
        assert await deadman.ping() == "withheld"
        assert len(receiver.got) == heard
        watchdog.answer.set()
        await receiver.wait_for(heard + 2)
        watchdog.stop()
        deadman.stop()
        await asyncio.wait_for(running, 20)
    withheld = [record for record in caplog.records if getattr(record, "action", "") == "deadman.withheld"]
    assert ["reconcile"] in [record.__dict__["loops"] for record in withheld]
    assert (deadman.pings["sent"] >= 5, deadman.pings["failed"]) == (True, 0)


async def test_a_ping_that_nobody_heard_is_sent_again_soon_and_its_url_is_kept_out_of_the_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "workers")
    async with receiving(status(503)) as receiver:
        url = f"{receiver.url}/secret-path"
        deadman = Deadman(url, Egress(allowed=HERE), list, every_s=3600, again_s=0.02)
        running = asyncio.create_task(deadman.run())
        await receiver.wait_for(2)
        receiver.answer = status(204)

        async def heard() -> bool:
            return deadman.pings["sent"] == 1

        await until(heard, 20)
        deadman.stop()
        await asyncio.wait_for(running, 20)
        assert {got.path for got in receiver.got} == {"/hook/secret-path"}
        assert await Deadman(url, Egress(), list).ping() == "failed", "not one of the public internet"
    assert {record.__dict__.get("code") or record.__dict__["status"] for record in caplog.records} == {503, "bad_url"}
    assert "secret-path" not in caplog.text
