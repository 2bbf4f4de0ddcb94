"""Looking at the ledger from beside: a thread that takes a snapshot every second for the board."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import State
from invoicing.kit.clock import now
from invoicing.kit.db import make_engine
from invoicing.lanes import service as lanes
from invoicing.lanes.model import Worker

EVERY_S = 1.0
_EVENTS = 40


@dataclass(frozen=True)
class Snapshot:
    """What the ledger said at a moment; `away` says why it did not answer."""

    at: datetime
    standings: tuple[lanes.LaneStanding, ...] = ()
    workers: tuple[Worker, ...] = ()
    states: Mapping[State, int] = field(default_factory=dict)
    happened: tuple[ledger.Happened, ...] = ()
    away: str | None = None


class Observer:
    """Takes snapshots in a thread of its own, so that neither drawing nor supervising waits for the database."""

    def __init__(self, database_url: str) -> None:
        """Look at a database."""
        self._url = database_url
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._observe()), name="observer", daemon=True)
        self.latest: Snapshot | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(5)

    def works(self, pid: int) -> bool:
        """Tell whether a worker with that process id serves the lanes."""
        known = self.latest.workers if self.latest else ()
        return any(worker.pid == pid and worker.alive and not worker.stopping for worker in known)

    async def _observe(self) -> None:
        engine = make_engine(self._url, pool_size=1, overflow=0, name="invoicing-up")
        try:
            while not self._ended.is_set():
                self.latest = await _look(engine)
                await asyncio.to_thread(self._ended.wait, EVERY_S if self._settled() else EVERY_S / 10)
        finally:
            await engine.dispose()

    def _settled(self) -> bool:
        """Look more often until the first worker serves: `up` is waiting for it."""
        return self.latest is not None and bool(self.latest.workers)


async def _look(engine: AsyncEngine) -> Snapshot:
    try:
        async with asyncio.timeout(5), engine.connect() as session:
            standings = await lanes.standings(session)
            return Snapshot(
                now(),
                tuple(standings),
                tuple(await lanes.all_workers(session)),
                await ledger.states(session),
                tuple(await ledger.happened(session, _EVENTS)),
            )
    except Exception as error:  # noqa: BLE001 - whatever it is, it is shown, and the next look may succeed
        return Snapshot(now(), away=f"{type(error).__name__}: {error}".partition("\n")[0])
