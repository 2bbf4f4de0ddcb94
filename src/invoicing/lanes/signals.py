"""Reading what a scaler needs to know, at a cost that does not grow with the backlog."""

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.kit.db import Session
from invoicing.lanes import store
from invoicing.lanes.model import BY_NAME, Lane
from invoicing.lanes.model.signals import Signals, signals_of
from invoicing.lanes.policies import all_policies
from invoicing.lanes.store.totals import totals

KEPT_S = 1.0
"""Whoever asks again within this time is given the same: any number of scrapers cost one reading a second."""


async def read_signals(session: Session) -> Signals:
    """Read how all lanes stand and who serves them."""
    policies = await all_policies(session)
    return signals_of(
        await totals(session),
        {Lane(*key): count for key, count in (await ledger.running(session)).items()},
        await store.all_workers(session),
        frozenset(BY_NAME[pause.lane] for pause in await store.active_pauses(session)),
        policies.fleet,
        policies.of,
    )


class SignalBox:
    """Reads the signals when somebody asks, at most once in `KEPT_S`."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Read from a ledger."""
        self._engine = engine
        self._found: Signals | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def signals(self) -> Signals:
        """Give how all lanes stood no longer than `KEPT_S` ago."""
        async with self._reading:
            if self._found is None or time.monotonic() - self._read_at >= KEPT_S:
                self._read_at = time.monotonic()
                async with self._engine.connect() as session:
                    self._found = await read_signals(session)
            return self._found
