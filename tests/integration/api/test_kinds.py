"""What a kind's page says of its estimates, and that new jobs are placed by what was learned."""

from typing import Any
from uuid import UUID

from sqlalchemy import text

from invoicing.kit.db import transaction
from invoicing.lanes.learned import keep_models
from invoicing.lanes.model.sizes import NOBODY, NOTHING, Seen, learn

from ..workers.crew import until
from .conftest import Customer, Service


async def experience(service: Service, customer: str, estimated_s: float, worked_s: float, jobs: int = 9) -> None:
    """Let jobs of a customer have been learned from."""
    async with transaction(service.engine) as session:
        code = {"code": customer}
        customer_id: UUID = await session.scalar(text("SELECT id FROM customers WHERE slug = :code"), code)
        kind, own = NOTHING, NOBODY
        for _ in range(jobs):
            kind, own = learn(kind, own, Seen.of(estimated_s, worked_s), 0.0)
        await keep_models(session, {"drill": kind}, {("drill", customer_id): own})


async def size_model(customer: Customer) -> Any:
    answer = await customer.get("/v1/kinds/drill")
    assert answer.status_code == 200, answer.text
    return answer.json()["size_model"]


async def test_a_kind_says_how_far_its_estimates_are_off_and_how_far_ones_own(service: Service, acme: Customer) -> None:
    assert await size_model(acme) is None
    await experience(service, "acme", 0.3, 300.0)

    async def shown() -> bool:
        return await size_model(acme) is not None

    await until(shown, 10)
    mine, theirs = await size_model(acme), await size_model(service.other)
    assert mine["jobs"] == mine["own_jobs"] == theirs["jobs"] == 9
    assert mine["own_factor_p50"] > 300
    assert theirs["own_jobs"] == 0
    assert theirs["own_factor_p50"] == theirs["factor_p50"] < 30
    assert mine["factor_p05"] < mine["factor_p50"] < mine["factor_p95"]


async def test_a_new_job_is_placed_by_what_was_learned_and_keeps_what_its_kind_said(
    service: Service, acme: Customer
) -> None:
    body = {"kind": "drill", "payload": {"seconds": 1, "claimed_seconds": 0.3}}
    assert (await acme.job(body))["lane"]["size"] == "small"
    await experience(service, "acme", 0.3, 300.0)

    async def learned() -> bool:
        return bool((await acme.job(body))["lane"]["size"] == "large")

    await until(learned, 10)
    assert (await service.other.job(body))["lane"]["size"] == "small"
    async with service.engine.connect() as session:
        rows = await session.execute(text("SELECT estimated_s, predicted_s FROM jobs WHERE size = 'large'"))
        assert all(row.estimated_s == 0.3 and row.predicted_s > 30 for row in rows)
