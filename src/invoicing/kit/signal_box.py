"""What monitoring asks a ledger for, read at most once a second however many scrapers there are."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.kit.db import Session

T = TypeVar("T")

KEPT_S = 1.0
"""Whoever asks again within this time (seconds) is given the same."""


class SignalBox(Generic[T]):
    """Reads signals when somebody asks, at most once in `KEPT_S`."""

    def __init__(self, engine: AsyncEngine, read: Callable[[Session], Awaitable[T]]) -> None:
        """Read from a ledger."""
        self._engine = engine
        self._read = read
        self._found: tuple[float, T] | None = None
        self._reading = asyncio.Lock()

    async def signals(self) -> T:
        """Give how things stood no longer than `KEPT_S` ago."""
        async with self._reading:
            if self._found is None or time.monotonic() - self._found[0] >= KEPT_S:
                began = time.monotonic()
                async with self._engine.connect() as session:
                    self._found = began, await self._read(session)
            return self._found[1]
