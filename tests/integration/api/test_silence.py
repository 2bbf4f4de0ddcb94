"""A ledger that neither answers nor refuses, as behind a network that lost the way: callers are told to come again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import web
from invoicing.kit.db import make_engine

from .conftest import Service


@contextmanager
def silent(pids: list[int]) -> Iterator[None]:
    """Have processes of PostgreSQL stand still while the block runs."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _backends(engine: AsyncEngine, name: str) -> list[int]:
    """List the processes that serve the connections of this name to this test's database."""
    async with engine.connect() as session:
        found = await session.scalars(
            text("SELECT pid FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"),
            {"name": name},
        )
        return list(found)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_PATIENCE_S", 0.5)


async def test_a_caller_is_told_to_come_again_and_nothing_is_accepted_twice(
    service: Service, database_url: str
) -> None:
    key = uuid4().hex
    await service.acme.job()
    engine = make_engine(database_url)
    with silent(await _backends(engine, "invoicing-web")):
        answers = [await service.acme.submit(key=key)]
        while answers[-1].status_code != 202:
            answers.append(await service.acme.submit(key=key))
    refused = answers[:-1]
    assert refused, "no connection of before was used: nothing was proved"
    assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(503, "unavailable")}
    assert all(answer.headers["Retry-After"] for answer in refused)
    again = await service.acme.job(key=key)
    assert again["id"] == answers[-1].json()["id"]
    async with engine.connect() as session:
        made = await session.scalar(text("SELECT count(*) FROM jobs"))
    await engine.dispose()
    assert made == 2
