"""A desk that says what becomes of incidents."""

from collections.abc import AsyncIterator

import pytest

from .desk import Desk


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    desk = Desk(database_url)
    yield desk
    await desk.close()
