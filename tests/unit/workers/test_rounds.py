"""Rounds come again at their pace whatever becomes of one, are seen to get on, and end when they are told to."""

import asyncio
import logging

import pytest
from redis.exceptions import RedisError

from workers.pulse import DONE, FAILED, Pulses
from workers.rounds import Rounds


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("error", "level"), [(OSError("away"), "WARNING"), (RedisError("away"), "WARNING"), (ValueError("ours"), "ERROR")]
)
async def test_a_round_that_fails_is_logged_under_its_action_and_comes_again(
    error: Exception, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    pulses, times = Pulses(), 0
    rounds = Rounds("look after keys", "keys.failed", pulses)

    async def look() -> None:
        nonlocal times
        times += 1
        if times == 1:
            raise error
        rounds.stop()

    await asyncio.wait_for(rounds.every("keys", 0.001, look), 10)
    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "keys.failed"]
    assert (record.levelname, record.getMessage().startswith("cannot look after keys")) == (level, True)
    assert bool(record.exc_info) == (level == logging.getLevelName(logging.ERROR))
    assert pulses.of("keys", 0.001).rounds == {FAILED: 1, DONE: 1}


async def test_a_stop_ends_the_pause_and_what_is_under_way_goes_to_its_end() -> None:
    rounds, ended = Rounds("look", "look.failed"), []

    async def long() -> None:
        await asyncio.sleep(0.05)
        ended.append(rounds.ending)

    async def short() -> None:
        rounds.stop()

    loops = rounds.every("long", 3600.0, long), rounds.every("short", 3600.0, short)
    await asyncio.wait_for(asyncio.gather(*loops), 10)
    assert ended == [True]


async def test_no_round_begins_after_a_stop() -> None:
    rounds = Rounds("look", "look.failed")
    rounds.stop()

    async def never() -> None:
        raise AssertionError("it began")

    await asyncio.wait_for(rounds.every("never", 3600.0, never), 10)
    await asyncio.wait_for(rounds.pause(3600.0), 10)


async def test_a_step_of_a_long_round_is_a_sign_of_life_and_patience_is_as_it_was_asked_for() -> None:
    clock = Clock()
    pulses = Pulses(clock)
    rounds = Rounds("add up", "sums.failed", pulses)
    rounds.get_on("sums")  # a step outside of any loop is nobody's sign of life
    late: list[list[str]] = []

    async def add_up() -> None:
        for passed in (299.0, 299.0, 301.0):
            clock.now += passed
            late.append(list(pulses.late()))
            rounds.get_on("sums")
        rounds.stop()

    await rounds.every("sums", 1.0, add_up, patience_s=60.0)
    assert late == [[], [], ["sums"]]
    assert pulses.late() == []
