"""The detector goes on by itself: an incident is opened and told, a failed round is not the last, a stop ends it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from invoicing.incidents.model.incident import Change, Incident
from invoicing.kit.db import Session, make_engine
from workers.detector import Detector
from workers.observer import Observer

from ..book import Book
from .crew import until


@pytest.fixture
async def book(database_url: str) -> AsyncIterator[Book]:
    engine = make_engine(database_url)
    yield await Book.open(engine)
    await engine.dispose()


async def test_it_finds_tells_and_ends_when_it_is_told_to(
    book: Book, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await book.submit()
    await book.do("UPDATE jobs SET submitted_at = submitted_at - interval '1 min'")
    await Observer(book.engine).look()
    await book.do("UPDATE conditions SET since = since - interval '1 min'")
    told: list[tuple[str, str]] = []

    async def tell(_session: Session, incident: Incident, change: Change) -> None:
        told.append((incident.scope, change.kind))

    detector = Detector(book.engine, tell, every_s=0.02, settles_s=0)
    rounds, look = 0, detector.look

    async def fails_first() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ValueError("broken")
        await look()

    monkeypatch.setattr(detector, "look", fails_first)
    running = asyncio.create_task(detector.run())

    async def found() -> bool:
        return ("*", "opened") in told

    await until(found, 20)
    detector.stop()
    await asyncio.wait_for(running, 30)
    failed = [record for record in caplog.records if getattr(record, "action", "") == "incidents.failed"]
    assert len(failed) == 1
    assert told.count(("*", "opened")) == 1
