"""What was read of a database a moment ago, for all who ask within that moment: many pollers cost one reading."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine

from invoicing.kit.db import Session

T = TypeVar("T")

_REST = 8
"""Reading takes no more than one part in so many of the time, unless it takes very long."""

_LONGEST_S = 0.5
"""Nothing is kept for longer than it is good for, or this (seconds): what is old would prove what is not so."""


@dataclass(frozen=True)
class _Value(Generic[T]):
    value: T
    began: float
    good_until: float


class Kept(Generic[T]):
    """One value for each database of this process, and for all who ask; forgotten with its engine."""

    def __init__(self, read: Callable[[Session], Awaitable[T]], good_for_s: float) -> None:
        """Keep what `read` gives for so long (seconds), longer where reading takes long."""
        self.read = read
        self._good_for_s = good_for_s
        self._values: WeakKeyDictionary[Engine, _Value[T]] = WeakKeyDictionary()
        self._locks: WeakKeyDictionary[Engine, asyncio.Lock] = WeakKeyDictionary()

    async def get(self, session: Session, enough: Callable[[T], bool] = lambda _: True) -> T:
        """Give what is kept while it is good and `enough`, else read it anew; who comes meanwhile waits for that."""
        engine, asked = session.engine.sync_engine, time.monotonic()

        def serves(kept: _Value[T] | None) -> bool:
            return kept is not None and time.monotonic() < kept.good_until and enough(kept.value)

        kept = self._values.get(engine)
        if kept is not None and serves(kept):
            return kept.value
        async with self._locks.setdefault(engine, asyncio.Lock()):
            kept = self._values.get(engine)
            if kept is None or (kept.began < asked and not serves(kept)):
                began = time.monotonic()
                value = await self.read(session)
                ended = time.monotonic()
                rest = min(_REST * (ended - began), _LONGEST_S)
                kept = _Value(value, began, ended + max(self._good_for_s, rest))
                self._values[engine] = kept
            return kept.value
