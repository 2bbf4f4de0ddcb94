"""Customers who can be told of incidents, what they were told, and what happens that they are told of."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from invoicing.customers.model import Principal, Role
from invoicing.incidents import service
from invoicing.incidents.model.acts import Wish
from invoicing.incidents.model.incident import Incident
from invoicing.jobs.model import RetryPolicy
from invoicing.kit.db import transaction
from invoicing.kit.ids import new_id

from ..book import Book
from .conftest import Lookout

OLGA = Principal(uuid4(), Role.OPS, "Olga")
NEVER_AGAIN = RetryPolicy(max_attempts=1, first_delay=timedelta(0))


async def endpoint(book: Book, channel: str = "webhook", events: list[str] | None = None) -> UUID:
    endpoint_id = new_id()
    url = f"mailto:{endpoint_id}@example.com" if channel == "mail" else f"https://example.com/{endpoint_id}"
    await book.do(
        "INSERT INTO endpoints (id, channel, customer_id, url, events, wanted, language, secret, idempotency_key, "
        "body_hash) VALUES (:id, :channel, :customer, :url, :events, :wanted, :language, '', :url, '')",
        id=endpoint_id, channel=channel, customer=book.customer_id, url=url, events=events,
        wanted=events if channel == "mail" else None, language="de" if channel == "mail" else None,
    )  # fmt: skip
    return endpoint_id


async def another(book: Book, slug: str = "other") -> Book:
    """Add a customer, with a webhook."""
    other = Book(book.engine, uuid4())
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, :slug, 'O')", id=other.customer_id, slug=slug)
    await endpoint(other)
    return other


async def told(book: Book) -> list[tuple[str, dict[str, Any]]]:
    """List what a customer's endpoints were told, in order."""
    found = await book.scalar(
        "SELECT json_agg(json_build_array(event, body) ORDER BY id)::text FROM messages WHERE customer_id = :customer "
        "AND event LIKE 'incident.%'",
        customer=book.customer_id,
    )
    return [(event, json.loads(body)["data"]) for event, body in json.loads(found or "[]")]


async def events(book: Book) -> list[str]:
    return [event.removeprefix("incident.") for event, _ in await told(book)]


async def stuck(book: Book, lookout: Lookout, jobs: int = 1) -> Incident:
    """Have a lane stand still with so many jobs of a customer in it, for long enough that it is told."""
    await book.accept(*(book.request() for _ in range(jobs)))
    await lookout.holds("no_worker")
    await lookout.look()
    await lookout.look(later=16)
    return (await lookout.all())[-1]


async def act(book: Book, incident: Incident, wish: Wish) -> None:
    async with transaction(book.engine) as session:
        await service.act(session, OLGA, incident.id, wish)


async def later(book: Book, minutes: float) -> None:
    """Let time pass, as far as notices are concerned."""
    await book.do(
        "UPDATE incident_notices SET told_at = told_at - CAST(:by AS interval), "
        "next_update_by = next_update_by - CAST(:by AS interval)",
        by=timedelta(minutes=minutes),
    )


async def over(lookout: Lookout) -> None:
    await lookout.ends("no_worker")
    await lookout.look()
    await lookout.look(later=31)
