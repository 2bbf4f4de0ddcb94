"""A ledger of each test's own."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import make_engine

from ..book import Book


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=10, overflow=20)
    yield engine
    await engine.dispose()


@pytest.fixture
async def book(engine: AsyncEngine) -> Book:
    return await Book.open(engine)
