"""What goes wrong is said in one form, without secrets, and leaves nothing half done."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from invoicing.customers import store
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.ids import new_id
from invoicing.kit.problems import Problem


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", "/nowhere", 404, {}),
        ("DELETE", "/v1/jobs", 405, {}),
        ("GET", "/v1/jobs", 406, {"Accept": "text/html"}),
        ("POST", "/v1/jobs", 415, {"Idempotency-Key": "a", "Content-Type": "text/xml"}),
        ("POST", "/v1/jobs", 415, {"Idempotency-Key": "a", "Content-Encoding": "gzip"}),
    ],
)
async def test_every_refusal_is_a_problem(acme: Any, method: str, path: str, status: int, headers: Any) -> None:
    answer = await acme.request(method, path, headers={"Content-Type": "application/json"} | headers)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem.keys() == {
        "type", "title", "status", "code", "detail", "field", "remedy", "errors", "support_reference"
    }  # fmt: skip
    assert answer.headers["support-reference"] == problem["support_reference"]
    if status == 405:
        assert answer.headers["allow"] == "GET, POST"


async def test_the_rate_is_told_and_held(service: Any) -> None:
    async with transaction(service.engine) as session:
        acme = await store.customer_by_slug(session, "acme")
        assert acme is not None
        await store.set_limits(session, acme.id, {"rate_per_s": 1.0, "burst": 3})
    answers = [await service.acme.get("/v1/jobs") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=3'
    assert answers[0].headers["ratelimit"].startswith('"requests";r=2')
    wait = int(answers[-1].headers["retry-after"])
    assert (answers[-1].json()["code"], wait) == ("rate_limited", 1)
    assert (await service.other.get("/v1/jobs")).status_code == 200
    await asyncio.sleep(wait + 0.1)
    assert (await service.acme.get("/v1/jobs")).status_code == 200


async def test_a_ledger_that_is_away_gives_503_and_nothing_is_half_accepted(service: Any) -> None:
    await service.acme.job()
    away, back = "ALTER DATABASE {} ALLOW_CONNECTIONS false", "ALTER DATABASE {} ALLOW_CONNECTIONS true"
    url = service.engine.url
    other = make_engine(str(url.set(database="postgres").render_as_string(hide_password=False)))
    async with other.connect() as plain:
        session = await plain.execution_options(isolation_level="AUTOCOMMIT")
        await session.execute(text(away.format(url.database)))
        kill = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        await session.execute(kill, {"name": url.database})
        answers = [await service.acme.submit(key="away") for _ in range(5)]
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.json()["code"] for answer in answers} == {"unavailable"}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert "postgres" not in answers[0].text.lower()
        assert (await service.acme.get("/v1/jobs")).status_code == 503
        assert (await service.acme.get("/readyz")).status_code == 503
        assert (await service.acme.get("/healthz")).status_code == 200
        await session.execute(text(back.format(url.database)))
    await other.dispose()
    answer = await service.acme.submit(key="away")
    assert answer.status_code == 202
    assert "idempotency-replayed" not in answer.headers


async def test_an_unexpected_error_tells_nothing_of_the_inside(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lister = next(route for route in service.app.routes if route.name == "list" and route.path == "/v1/jobs")

    async def broken(*_: Any) -> Any:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(type(lister.endpoint.__self__.desk), "shown", broken)
    answer = await service.acme.get("/v1/jobs")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_one_request_that_cannot_be_written_does_not_hurt_those_beside_it(service: Any) -> None:
    reception = next(route for route in service.app.routes if route.name == "submit").endpoint.__self__
    taken: list[Any] = []

    async def both(key: str, reference: str | None) -> Any:
        job = taken[0]
        new = replace(job, id=new_id(), idempotency_key=key, reference=reference)
        return await reception.acceptor.accept(new)

    accept = reception.acceptor.accept

    async def spy(new: Any) -> Any:
        taken.append(new)
        return await accept(new)

    reception.acceptor.accept = spy
    await service.acme.job()
    reception.acceptor.accept = accept
    results = await asyncio.gather(both("good-1", "a"), both("bad", "\0"), both("good-2", "b"), return_exceptions=True)
    assert [isinstance(result, BaseException) for result in results] == [False, True, False]
    assert not isinstance(results[1], Problem)


async def test_a_service_that_is_up_says_so(acme: Any) -> None:
    assert (await acme.get("/healthz")).json() == {"status": "alive"}
    assert (await acme.get("/readyz")).json() == {"status": "ready"}


async def test_a_ledger_that_is_not_migrated_is_not_ready(service: Any) -> None:
    async with service.engine.begin() as session:
        await session.execute(text("ALTER TABLE jobs RENAME COLUMN webhook TO hook"))
    answer = await service.acme.get("/readyz")
    assert answer.status_code == 503
    assert "jobs.webhook" in answer.json()["detail"]
