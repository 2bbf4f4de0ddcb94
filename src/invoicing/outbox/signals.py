"""What monitoring needs to know of the outbox, at a cost that grows with who is sent something, not with how much."""

import asyncio
import time
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.outbox.model import Signal
from invoicing.outbox.store.signals import MOST_COUNTED, read_signals

KEPT_S = 1.0
"""Whoever asks again within this time is given the same: any number of scrapers cost one reading a second."""


class SignalBox:
    """Reads the signals when somebody asks, at most once in `KEPT_S`."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Read from a ledger."""
        self._engine = engine
        self._found: Sequence[Signal] = ()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def signals(self) -> Sequence[Signal]:
        """Give how every channel stood no longer than `KEPT_S` ago."""
        async with self._reading:
            if self._read_at is None or time.monotonic() - self._read_at >= KEPT_S:
                async with self._engine.connect() as session:
                    self._found = await read_signals(session)
                self._read_at = time.monotonic()
            return self._found


__all__ = ["KEPT_S", "MOST_COUNTED", "SignalBox", "read_signals"]
