"""Bringing everything up: servers, tables, parts, keys, until the service answers and a worker is warm."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from invoicing.cli import schema
from invoicing.cli.dev_keys import ensure_keys
from invoicing.cli.faults import Fault
from invoicing.cli.observe import Observer, Snapshot
from invoicing.cli.parts import Part
from invoicing.cli.ports import address, answers
from invoicing.cli.supervise import Supervisor
from invoicing.kit.db import make_engine
from invoicing.settings import Settings

_READY_WITHIN_S = 180.0
_HOPELESS_AFTER = 3
"""A part that dies this often before the service was ready will not be better the next time."""

TICK_S = 0.05


class Beginning:
    """The steps from nothing to ready; each may be cut short by a signal."""

    def __init__(
        self,
        home: Path,
        settings: Settings,
        supervisor: Supervisor,
        tell: Callable[[str], None],
        stopping: Callable[[], bool],
    ) -> None:
        """Go on from where the first parts were started."""
        self.settings = settings
        self._home = home
        self._supervisor = supervisor
        self._tell = tell
        self._stopping = stopping
        self._observer: Observer | None = None

    def run(self, workers: int) -> bool:
        """Bring all up; False when a signal came first."""
        for step in (self._start_servers, self._prepare_database, self._let_parts_begin, self._await_ready):
            if self._stopping():
                return False
            step()
        # these take processor time from what a first job needs
        self._supervisor.load([Part("dispatcher", "dispatcher")])
        self._supervisor.load([Part(f"worker-{number}", "worker") for number in range(2, workers + 1)])
        self._supervisor.load([Part("watchdog", "watchdog")])
        self._supervisor.go(self.settings)
        return not self._stopping()

    @property
    def snapshot(self) -> Snapshot | None:
        """What the ledger said last."""
        return None if self._observer is None else self._observer.latest

    def end(self) -> None:
        """Look at the ledger no more."""
        if self._observer is not None:
            self._observer.stop()

    def _start_servers(self) -> None:
        self.settings = self._supervisor.start_servers(self.settings)
        self._supervisor.load([Part("web", "web")])  # not before: the first child needs the processor longer

    def _prepare_database(self) -> None:
        url, _ = self.settings.servers()
        try:
            before, newest = asyncio.run(schema.current(url)), schema.newest()
        except (OSError, TimeoutError) as error:
            raise Fault(
                f"The database of INVOICING_DATABASE_URL does not answer: {error}.", "Start it, or correct the URL."
            ) from error
        if before != newest:
            from invoicing.cli.migrate import migrate  # noqa: PLC0415 - a second start need not import Alembic

            self._tell(f"bringing the database from revision {before or 'none'} to {newest}")
            migrate(url)

    def _let_parts_begin(self) -> None:
        url, _ = self.settings.servers()
        self._supervisor.go(self.settings)
        self._observer = Observer(url)
        self._observer.start()
        new = asyncio.run(_ensure_keys(url, self._home))
        if new:
            self._tell(f"wrote keys for {', '.join(new)} to {self._home / 'dev-keys.json'}")

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._stopping():
            self._supervisor.look()
            self._refuse_hopeless()
            if self._a_worker_serves() and answers(f"{address(self.settings)}/readyz"):
                return
            if time.monotonic() > deadline:
                raise Fault(
                    f"The service was not ready within {_READY_WITHIN_S:.0f} s.",
                    f"See the logs in {self._home / 'logs'}, and run `invoicing doctor`.",
                )
            time.sleep(TICK_S)

    def _a_worker_serves(self) -> bool:
        observer = self._observer
        workers = [pid for _, role, pid in self._supervisor.processes() if role == "worker"]
        return observer is not None and any(observer.works(pid) for pid in workers)

    def _refuse_hopeless(self) -> None:
        for upkeep in self._supervisor.kept:
            if upkeep.deaths >= _HOPELESS_AFTER:
                raise Fault(
                    f"{upkeep.part.name} does not start ({upkeep.running.how_it_ended()}). It said last:\n"
                    f"{upkeep.running.last_words()}",
                    f"Put that right and start again; all it wrote is in {upkeep.running.log_file}.",
                )


async def _ensure_keys(url: str, home: Path) -> list[str]:
    engine = make_engine(url, pool_size=1, name="invoicing-up")
    try:
        return await ensure_keys(engine, home)
    finally:
        await engine.dispose()
