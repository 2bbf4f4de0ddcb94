"""Whoever changes many jobs at once never waits for somebody who waits for him."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from ..book import NORMAL_SMALL, Book

ROUNDS, JOBS = 12, 60


async def outcome(attempt: Awaitable[Any]) -> str:
    """Say how something ended: done, or given up by PostgreSQL to end a deadlock."""
    try:
        await attempt
    except (asyncpg.DeadlockDetectedError, DBAPIError) as error:
        return f"{type(error).__name__}: {error}"
    return "done"


async def claims(book: Book, tickets: list[Any], chance: random.Random) -> list[Awaitable[Any]]:
    """Have workers claim the same tickets, each in an order of its own, as after Redis was emptied and filled."""
    return [book.claim(uuid4(), chance.sample(tickets, len(tickets))) for _ in range(3)]


async def claims_and_withdrawals(book: Book, tickets: list[Any], chance: random.Random) -> list[Awaitable[Any]]:
    return [book.withdraw(NORMAL_SMALL), *await claims(book, tickets, chance)]


@pytest.mark.parametrize("meeting", [claims, claims_and_withdrawals])
async def test_claims_and_withdrawals_of_the_same_jobs_never_block_each_other_for_good(
    book: Book, meeting: Callable[[Book, list[Any], random.Random], Awaitable[list[Awaitable[Any]]]]
) -> None:
    chance = random.Random(4)
    for _ in range(ROUNDS):
        await book.accept(*(book.request(seconds=0) for _ in range(JOBS)))
        tickets = await book.release(JOBS)
        ends = await asyncio.gather(*(outcome(each) for each in await meeting(book, tickets, chance)))
        assert set(ends) == {"done"}
        await book.do(
            "UPDATE jobs SET state = 'cancelled', finished_at = now(), lease_until = NULL, released_at = NULL"
        )
