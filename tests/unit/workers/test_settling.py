"""The end of an attempt on its way to the ledger: given up only where that refuses it, never because it is away."""

import asyncio
from typing import Any, Self, cast
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs.model import Event, Settlement, State, Verdict
from workers import settling
from workers.settling import Settler

DONE = Settlement(uuid4(), 1, Verdict(State.SUCCEEDED, Event.SUCCEEDED, 0, result={"fine": True}))

PASSING = [
    InvalidRequestError("This connection is closed"),
    ConnectionRefusedError("nobody there"),
    TimeoutError(),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.InternalClientError("broke off"),
    asyncpg.DeadlockDetectedError("two at once"),
    asyncpg.PostgresIOError("no space left on device"),
    RuntimeError("whatever else"),
]
REFUSING = [
    asyncpg.UntranslatableCharacterError("a NUL in text"),
    ValueError("no JSON"),
    DBAPIError("SELECT", None, asyncpg.PostgresSyntaxError("no such thing")),
]


class Ledger:
    """Fails once, then takes what it is given."""

    def __init__(self, error: Exception) -> None:
        self.errors = [error]
        self.written: list[Settlement] = []

    def connect(self) -> "Ledger":
        return self

    async def __aenter__(self) -> Self:
        if self.errors:
            raise self.errors.pop()
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def settle(self, _connection: object, ended: list[Settlement]) -> set[Any]:
        self.written += ended
        return {one.job_id for one in ended}


async def _settled(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Settlement:
    """Settle by way of a ledger that fails once so."""
    ledger = Ledger(error)

    async def driver(session: object) -> object:
        await asyncio.sleep(0)
        return session

    monkeypatch.setattr(settling, "driver", driver)
    monkeypatch.setattr(settling, "ledger", ledger)
    settler = Settler(cast("AsyncEngine", ledger))
    settler.start()
    assert await settler.settle([DONE]) == {DONE.job_id}
    await settler.stop()
    (written,) = ledger.written
    return written


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_an_outcome_outlasts_whatever_goes_wrong_on_the_way(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await _settled(error, monkeypatch) == DONE


@pytest.mark.parametrize("error", REFUSING, ids=lambda error: type(error).__name__)
async def test_an_outcome_that_the_ledger_refuses_ends_its_job(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await _settled(error, monkeypatch)).verdict.state == State.DEAD
