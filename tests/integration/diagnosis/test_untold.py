"""A job that has ended and whose customer could not be told: which webhook refuses, and when it is tried again."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from invoicing.customers.tables import customers
from invoicing.diagnosis.model.check import Check
from invoicing.diagnosis.service import checks
from invoicing.kit.db import Session, make_engine
from invoicing.kit.ids import new_id
from invoicing.outbox.tables import delivery_attempts, endpoints, messages

from .test_explain import KINDS, add, ago, read


@pytest.fixture
async def session(database_url: str) -> AsyncIterator[Session]:
    engine = make_engine(database_url)
    async with engine.begin() as session:
        yield session
    await engine.dispose()


async def test_an_end_that_could_not_be_told_is_named_with_the_webhook_and_the_next_try(session: Session) -> None:
    customer = new_id()
    await session.execute(insert(customers).values(id=customer, slug="acme", name="Acme"))
    [quiet, refused, given_up] = await add(session, customer, 3, state="succeeded", finished_at=ago(60), attempt=1)
    endpoint, other = new_id(), new_id()
    address = {"customer_id": customer, "secret": "s", "body_hash": b""}
    for one in (endpoint, other):
        await session.execute(
            insert(endpoints).values(id=one, url=f"https://{one}", idempotency_key=str(one), **address)
        )

    async def message(job_id: UUID, to: UUID, **columns: Any) -> UUID:
        message_id = new_id()
        said = {"channel": "webhook", "event": "job.succeeded", "seq": 3, "body": ""}
        row = {"id": message_id, "customer_id": customer, "job_id": job_id, "endpoint_id": to, **said, **columns}
        await session.execute(insert(messages).values(row))
        return message_id

    under_way = await message(quiet, endpoint, attempts=1)
    await session.execute(insert(delivery_attempts).values(message_id=under_way, number=1))
    await message(quiet, other, state="delivered", finished_at=ago(1), attempts=1)
    tried = await message(refused, endpoint, attempts=2, due_at=ago(-30))
    await session.execute(
        insert(delivery_attempts).values(
            [{"message_id": tried, "number": number, "outcome": "refused", "status": status, "took_s": 0.1}
             for number, status in ((1, 500), (2, 404))]
        )
    )  # fmt: skip
    await message(given_up, endpoint, state="dead", finished_at=ago(1), attempts=9)

    async def told(job_id: UUID) -> Check | None:
        asked = await checks(session, (await read(session, [job_id]))[0], KINDS)
        return next((check for check in asked if check.holds), None)

    assert await told(quiet) is None
    first, last = await told(refused), await told(given_up)
    assert first is not None
    assert (first.code, first.wording, first.evidence["webhook"]) == ("undelivered_result", "plain", endpoint)
    assert (first.evidence["attempts"], first.evidence["status"]) == (2, 404)
    assert first.until is not None
    assert first.until > first.observed_at
    assert last is not None
    assert (last.wording, last.until) == ("given_up", None)
    await session.execute(update(endpoints).values(removed_at=ago(0)))
    assert await told(refused) is None
