"""Loops that do one thing after another: what fails for one stops no other; a database that is away stops all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.incidents import calling, noticing
from invoicing.kit.db import Session, is_away, make_engine
from invoicing.maintenance import carrying_out
from workers.detector import Detector
from workers.herald import Herald
from workers.maintainer import Maintainer

REFUSED = ("SELECT 1 / 0", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)")
"""Statements that fail, as a row may make them, or a lock that somebody holds."""

ENDED = "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)"


@dataclass(frozen=True)
class Loop:
    """One of them: what lists the things and what deals with one of them, by name."""

    round: Callable[[AsyncEngine], Callable[[], Awaitable[object]]]
    module: ModuleType
    lists: str
    deals: str
    done: object


LOOPS = {
    "calls": Loop(lambda engine: Detector(engine, calls=True).call, calling, "waiting", "attend", done=True),
    "notices": Loop(lambda engine: Herald(engine).round, noticing, "due", "step", noticing.Step()),
    "maintenance": Loop(
        lambda engine: Maintainer(engine).round, carrying_out, "unfinished", "step", carrying_out.Step()
    ),
}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def loop(request: pytest.FixtureRequest) -> Loop:
    found: Loop = request.param
    return found


class Things:
    """Two things to deal with, of which the first fails by a statement."""

    def __init__(self, loop: Loop, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.first, self.second = uuid4(), uuid4()
        self.dealt_with: list[UUID] = []
        self._loop, self._fails = loop, fails
        monkeypatch.setattr(loop.module, loop.lists, self._list)
        monkeypatch.setattr(loop.module, loop.deals, self._deal)

    async def _list(self, _session: Session) -> list[UUID]:
        return [self.first, self.second]

    async def _deal(self, session: Session, one: UUID, *_: Any, **_more: Any) -> object:
        if one == self.first:
            await session.execute(text(self._fails))
        self.dealt_with.append(one)
        return self._loop.done


@pytest.mark.parametrize("statement", REFUSED)
async def test_what_the_database_refuses_for_one_does_not_keep_the_next(
    engine: AsyncEngine, loop: Loop, statement: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    things = Things(loop, statement, monkeypatch)
    await loop.round(engine)()
    assert things.dealt_with == [things.second]
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1


async def test_a_database_that_is_away_ends_the_round_for_all(
    engine: AsyncEngine, loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    things = Things(loop, ENDED, monkeypatch)
    with pytest.raises(DBAPIError) as raised:
        async with asyncio.timeout(20):
            await loop.round(engine)()
    assert is_away(raised.value)
    assert things.dealt_with == []
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
