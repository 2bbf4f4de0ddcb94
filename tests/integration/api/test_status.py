"""Anybody may see how the service does: no key, no internals, however many ask."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from fastapi import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app.status import Board
from invoicing.app.status_words import WORDS
from invoicing.diagnosis import words
from invoicing.incidents.model.causes import Cause, customer_scope, host_scope, lane_scope
from invoicing.incidents.model.course import opened, resolved
from invoicing.incidents.model.incident import Change, ChangeKind, Finding, Reach
from invoicing.incidents.store import rows
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.http.languages import Languages
from invoicing.kit.ids import new_id

from .conftest import Service

NOW = datetime.now(UTC)


def lane(name: str, cause: Cause = Cause.NO_WORKER, **more: Any) -> Finding:
    return Finding(cause, lane_scope(name), NOW, {"secret": "host-a"}, reach=Reach(lanes=frozenset({name})), **more)


async def happened(engine: AsyncEngine, *found: Finding, ended: timedelta | None = None) -> None:
    """Have incidents be there, open or over for so long."""
    async with transaction(engine) as session:
        await session.execute(text("UPDATE places SET at = now() WHERE name = 'watch'"))
        for one in found:
            step = opened(new_id(), one, NOW)
            if ended is not None:
                step = resolved(step.incident, NOW - ended, Change(ChangeKind.RESOLVED))
            await rows.write(session, step, None, NOW)


async def get(service: Service, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=service.url) as anybody:
        answer = await anybody.get("/status", headers=headers)
    assert answer.headers["vary"] == "Accept, Accept-Language"
    return answer


async def test_the_status_tells_what_is_held_up_until_when_and_nothing_of_machines(service: Service) -> None:
    estimate = NOW + timedelta(hours=1)
    customer = new_id()
    await happened(
        service.engine,
        lane("normal-huge", estimate=estimate),
        lane("bulk-huge", estimate=estimate),
        lane("normal-medium", Cause.PROMISES_MISSED),
        Finding(Cause.WORKER_LOST, host_scope("host-a"), NOW),
        Finding(Cause.UNDELIVERED_RESULT, customer_scope(customer), NOW),
    )
    await happened(service.engine, lane("urgent-small"), ended=timedelta(hours=1))
    await happened(service.engine, lane("bulk-small"), ended=timedelta(days=31))
    answer = await get(service)
    said = answer.json()
    assert answer.status_code == 200
    assert said["taking_requests"] is True
    assert said["work"] == {"small": "normal", "medium": "slow", "large": "held_up"}
    title = "Jobs of this queue are not being started at the moment."
    assert [one["title"] for one in said["incidents"]] == [title, "Jobs of this queue take longer than we promised."]
    assert said["incidents"][0]["estimate"][:19] == estimate.isoformat()[:19]
    assert [one["title"] for one in said["history"]] == [title]
    assert not [word for word in ("host-a", str(customer), "huge", "no_worker") if word in json.dumps(said)]


async def test_the_page_is_for_people_in_their_language_and_needs_no_script(service: Service) -> None:
    await happened(service.engine, lane("normal-small"))
    async with transaction(service.engine) as session:
        await session.execute(
            text(
                "INSERT INTO maintenance (id, begins, ends, lanes, reason, internal_reason, drain, shift_promises, by) "
                "VALUES (:id, now() + interval '1 h', now() + interval '2 h', '{normal-small}', '<b>Disks</b>', "
                "'DB-7', true, true, 'ops:Olga')"
            ),
            {"id": new_id()},
        )
    answer = await get(service, accept="text/html,*/*", **{"accept-language": "de-AT"})
    assert answer.headers["content-language"] == "de"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = answer.text
    assert '<html lang="de">' in page
    assert "Aufträge werden angenommen" in page
    assert "steht: manches oder alles" in page
    assert "&lt;b&gt;Disks&lt;/b&gt;" in page
    assert not [word for word in ("<script", "DB-7", "Olga", "normal-small") if word in page]


async def test_what_nobody_has_looked_at_is_not_called_normal(service: Service) -> None:
    await happened(service.engine)
    async with transaction(service.engine) as session:
        await session.execute(text("UPDATE places SET at = now() - interval '1 min' WHERE name = 'watch'"))
    assert set((await get(service)).json()["work"].values()) == {"unknown"}


async def test_however_many_ask_the_ledger_is_asked_once_a_second(service: Service) -> None:
    at = [0.0]
    board = Board(service.engine, Languages(("en",)), clock=lambda: at[0])
    await asyncio.gather(*(board._look() for _ in range(50)))
    assert board.reads == 1
    at[0] = 1.0
    await board._look()
    assert board.reads == 2


async def test_while_the_ledger_is_away_no_requests_are_taken_and_the_page_says_so() -> None:
    engine = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    board = Board(engine, Languages(("en",)))
    answer = await board.status(Request({"type": "http", "headers": []}))
    assert answer.status_code == 503
    said = json.loads(bytes(answer.body))
    assert (said["taking_requests"], set(said["work"].values())) == (False, {"unknown"})
    await engine.dispose()


def test_the_page_has_every_language_that_causes_have() -> None:
    assert set(WORDS) == set(words.codes())
    assert len({frozenset(each) for each in WORDS.values()}) == 1
