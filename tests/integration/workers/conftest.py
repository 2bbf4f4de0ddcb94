"""A dispatcher, a watchdog and, where a test asks for them, workers."""

from collections.abc import AsyncIterator

import pytest

from ..book import Book
from .crew import Crew


@pytest.fixture
async def crew(database_url: str, redis_url: str) -> AsyncIterator[Crew]:
    crew = await Crew(database_url, redis_url).open()
    yield crew
    await crew.close()


@pytest.fixture
def book(crew: Crew) -> Book:
    return crew.book
