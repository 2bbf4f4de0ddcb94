"""The sweeper goes on by itself: what is due goes soon, a failed round is not the last, a wrong setting is harmless."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from invoicing.app import load_kinds
from invoicing.jobs import retention
from workers.retention import Swept, settled


async def gone(archive: Any) -> None:
    async with asyncio.timeout(10):
        while await archive.jobs():  # noqa: ASYNC110 - another task removes them
            await asyncio.sleep(0.02)


async def test_what_is_due_goes_by_itself_and_a_stop_ends_it(archive: Any, sweeper: Callable[..., Any]) -> None:
    sweeping = sweeper()
    sweeping._every_s = 0.05
    running = asyncio.create_task(sweeping.run())
    for _ in range(2):
        await archive.end("cancelled", timedelta(days=91))
        await gone(archive)
    sweeping.stop()
    await asyncio.wait_for(running, 30)


async def test_a_round_that_fails_is_told_and_is_not_the_last(
    archive: Any, sweeper: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sweeping = sweeper()
    sweeping._every_s = 0.05
    whole = sweeping.round
    rounds = 0

    async def fails_once() -> Swept:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ConnectionResetError("the database is away")
        swept: Swept = await whole()
        return swept

    monkeypatch.setattr(sweeping, "round", fails_once)
    await archive.end("dead", timedelta(days=91))
    running = asyncio.create_task(sweeping.run())
    await gone(archive)
    sweeping.stop()
    await asyncio.wait_for(running, 30)
    assert "retention.failed" in {getattr(record, "action", "") for record in caplog.records}


async def test_a_stop_is_heard_between_two_steps(archive: Any, sweeper: Callable[..., Any]) -> None:
    for place in range(4):
        await archive.end("cancelled", timedelta(days=91 + place))
    sweeping = sweeper(batch=1)
    sweeping.stop()
    assert (await sweeping.round()).jobs <= len(retention.rules(load_kinds(drills=True)))
    assert len(await archive.jobs()) == 3


def test_a_setting_that_does_not_hold_removes_nothing_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert settled(lambda: load_kinds(drills=True), "invoice.issue=1y") == ()
    assert "must be kept for 10y at least; nothing is removed" in caplog.text
    assert len(settled(lambda: load_kinds(drills=True), "invoice.issue=11y")) == 4
