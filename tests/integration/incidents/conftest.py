"""A ledger, and somebody who looks for incidents in it as often and as far apart as a test says."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from invoicing.incidents import keeping
from invoicing.incidents.keeping import Tell
from invoicing.incidents.model.incident import Change, Incident
from invoicing.incidents.store import rows
from invoicing.kit.db import Session, make_engine, transaction
from invoicing.lanes import service as lanes

from ..book import Book

HERE = "normal-small"


class Lookout:
    """Looks for incidents; conditions are put there as the observer would."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.told: list[tuple[str, str]] = []
        self.may_fail = False
        self.waited = True
        """Whether jobs have waited for a minute, as far as anybody knows."""
        self.tell: Tell = self._tell

    async def look(self, *, later: float = 0, thorough: bool = True) -> int | None:
        """Look once, after so many seconds have gone by as far as incidents know."""
        if later:
            await self.book.do(
                "UPDATE incidents SET opened_at = opened_at - CAST(:later AS interval), "
                "quiet_since = quiet_since - CAST(:later AS interval), seen_at = seen_at - CAST(:later AS interval), "
                "resolved_at = resolved_at - CAST(:later AS interval)",
                later=timedelta(seconds=later),
            )
        await self.book.do("UPDATE places SET at = now() WHERE name = 'watch'")
        if self.waited:
            await self.book.do("UPDATE jobs SET submitted_at = submitted_at - interval '1 min'")
        async with transaction(self.book.engine) as session:
            return await keeping.keep(session, thorough=thorough, tell=self.tell)

    async def _tell(self, session: Session, incident: Incident, change: Change) -> None:
        assert await session.scalar(text("SELECT count(*) FROM incidents WHERE id = :id"), {"id": incident.id}) == 1
        self.told.append((incident.cause, change.kind))

    async def holds(self, cause: str, *scopes: str, since: float = 60, **more: Any) -> None:
        """Have conditions of lanes hold."""
        for scope in scopes or (HERE,):
            await self.book.do(
                "INSERT INTO conditions (scope, cause, since, spares, evidence) "
                "VALUES (:scope, :cause, now() - CAST(:since AS interval), CAST(:spares AS text[]), "
                "jsonb_build_object('workers', 0))",
                scope=scope, cause=cause, since=timedelta(seconds=since), spares=more.get("spares", []),
            )  # fmt: skip

    async def ends(self, cause: str) -> None:
        """Have them end."""
        await self.book.do("UPDATE conditions SET until = now() WHERE cause = :cause AND until IS NULL", cause=cause)

    async def all(self) -> list[Incident]:
        """List every incident, the oldest first."""
        async with self.book.engine.connect() as session:
            return (await rows.page(session, rows.Wanted(), None, 1000))[::-1]

    async def live(self) -> list[tuple[str, str]]:
        """Name those that are not over."""
        return [(one.cause.value, one.scope) for one in await self.all() if one.live]

    async def changes(self, incident: Incident) -> Sequence[str]:
        """Name what happened to one."""
        async with self.book.engine.connect() as session:
            return [entry.change.kind.value for entry in await rows.timeline(session, incident.id, 0, 1000)]

    async def worker(self, host: str = "host-a", silent: float = 0, loop_silent: float = 0) -> UUID:
        """Register a worker whose last beats are so many seconds old."""
        worker = uuid4()
        async with transaction(self.book.engine) as session:
            await lanes.register(session, worker, host, 1, "0.1", 2, [HERE], ["drill"])
        await self.book.do(
            "UPDATE workers SET beat_at = now() - CAST(:silent AS interval), "
            "loop_beat_at = now() - CAST(:loop AS interval) WHERE id = :id",
            id=worker, silent=timedelta(seconds=silent), loop=timedelta(seconds=loop_silent),
        )  # fmt: skip
        return worker


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


@pytest.fixture
def lookout(book: Book, caplog: pytest.LogCaptureFixture) -> Iterator[Lookout]:
    lookout = Lookout(book)
    yield lookout
    failed = [record.getMessage() for record in caplog.get_records("call") if record.levelname == "ERROR"]
    assert lookout.may_fail or failed == []
