"""Who waits at a bell is woken by news, once for all that come together, and otherwise in time."""

import asyncio

from invoicing.kit.bell import Bell


async def test_it_is_answered_once_for_all_that_rang_together() -> None:
    bell, answers = Bell(0.05), 0

    async def answer() -> None:
        nonlocal answers
        while True:
            await bell.wait(3_600)
            answers += 1

    answering = asyncio.create_task(answer())
    for _ in range(5):
        bell.ring()
        await asyncio.sleep(0)
    await asyncio.sleep(0.3)
    assert answers == 1
    bell.ring()
    await asyncio.sleep(0.3)
    assert answers == 2
    answering.cancel()


async def test_without_news_it_returns_in_time() -> None:
    await asyncio.wait_for(Bell(3_600).wait(0.01), 5)
