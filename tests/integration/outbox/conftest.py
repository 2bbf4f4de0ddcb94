"""A ledger with a customer, its endpoints, and relays that deliver to receivers on this machine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.model import Principal, Role
from invoicing.jobs.model import Claim, JobError, Rejected, Succeeded
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.egress import Egress, networks_of
from invoicing.kit.ids import new_id
from invoicing.outbox import service as outbox
from invoicing.outbox.carrying import Hooks
from invoicing.outbox.model import Channel, Errand
from invoicing.outbox.relaying import Bounds, take
from workers.outbox import Relay

from ..book import Book
from ..workers.crew import until

HERE = networks_of("127.0.0.0/8")


class Post:
    """What customers and workers do that has messages sent, and a look at what became of them."""

    def __init__(self, book: Book, url: str) -> None:
        self.book = book
        self.engine = book.engine
        self.url = url
        self.principal = Principal(uuid4(), Role.CUSTOMER, "shop", book.customer_id, "acme")
        self.relays: list[tuple[Relay, asyncio.Task[None]]] = []

    async def endpoint(self, url: str, events: list[str] | None = None) -> tuple[UUID, str]:
        """Add an endpoint; gives its id and its secret."""
        async with transaction(self.engine) as session:
            added = await outbox.add(session, self.principal, outbox.Wish(url, None, events), str(new_id()), HERE)
        assert added.secret is not None
        return added.endpoint.id, added.secret

    async def finish(self, webhook: str | None = None) -> UUID:
        """Have a job succeed."""
        claim = await self.begin(webhook)
        await self.book.settle(claim, Succeeded({"fine": True}))
        return claim.id

    async def die(self) -> UUID:
        """Have a job end dead."""
        claim = await self.begin()
        await self.book.settle(claim, Rejected(JobError("bad_input", "No.", field="/payload/seconds")))
        return claim.id

    async def begin(self, webhook: str | None = None) -> Claim:
        """Have a job run."""
        request = self.book.request(seconds=0)
        await self.book.accept(request)
        if webhook is not None:
            await self.do("UPDATE jobs SET webhook = :webhook WHERE id = :id", webhook=webhook, id=request.id)
        (claim,) = await self.book.claim(uuid4(), await self.book.release())
        return claim

    async def queue(self, endpoint_id: UUID, count: int) -> None:
        """Write messages of jobs that are no more: only the outbox is looked at."""
        await self.do(
            """
            INSERT INTO messages (id, channel, endpoint_id, customer_id, event, job_id, seq, body)
            SELECT new_message_id(), 'webhook', :endpoint, :customer, 'job.succeeded', gen_random_uuid(), 2, '{}'
            FROM generate_series(1, :count)
            """,
            endpoint=endpoint_id,
            customer=self.book.customer_id,
            count=count,
        )

    def relay(self, egress: Egress | None = None, **bounds: Any) -> Relay:
        """Make a relay that does nothing by itself."""
        carrier = Hooks(egress or Egress(allowed=HERE, patience_s=5))
        return Relay(self.engine, self.url, carrier, Bounds(**bounds))

    def start(self, egress: Egress | None = None, **bounds: Any) -> Relay:
        """Start a relay."""
        relay = self.relay(egress, **bounds)
        self.relays.append((relay, asyncio.create_task(relay.run())))
        return relay

    async def take(self, **bounds: Any) -> Sequence[Errand]:
        """Claim what may be sent now, as a relay does."""
        async with transaction(self.engine) as session:
            return await take(session, [Channel.WEBHOOK], Bounds(**bounds), free=256, probes=64)

    async def close(self) -> None:
        for relay, _ in self.relays:
            relay.stop()
        await asyncio.wait_for(asyncio.gather(*(task for _, task in self.relays)), 20)

    async def do(self, statement: str, **values: Any) -> None:
        async with transaction(self.engine) as session:
            await session.execute(text(statement), values)

    async def rows(self, statement: str, **values: Any) -> list[RowMapping]:
        async with self.engine.connect() as session:
            return list((await session.execute(text(statement), values)).mappings())

    async def messages(self) -> list[RowMapping]:
        return await self.rows("SELECT * FROM messages ORDER BY created_at, seq")

    async def attempts(self) -> list[RowMapping]:
        return await self.rows("SELECT * FROM delivery_attempts ORDER BY message_id, number")

    async def row(self, endpoint_id: UUID) -> RowMapping:
        (row,) = await self.rows("SELECT * FROM endpoints WHERE id = :id", id=endpoint_id)
        return row

    async def hurry(self) -> None:
        """Let the time pass that back-off and breaker would have taken."""
        await self.do("UPDATE endpoints SET open_until = now() WHERE open_until IS NOT NULL")
        await self.do("UPDATE messages SET due_at = now() WHERE state = 'waiting' AND lease_until IS NULL")
        await self.do("SELECT pg_notify('invoicing_outbox', '')")

    async def until(self, holds: Callable[[], Any], within: float = 20) -> None:
        """Wait until something holds."""
        await until(holds, within)

    async def settled(self, *states: str) -> None:
        """Wait until the messages have been tried and are in these states, in the order in which they were written."""

        async def there() -> bool:
            found = await self.messages()
            rests = all(row["attempts"] > 0 and row["lease_until"] is None for row in found)
            return rests and [row["state"] for row in found] == list(states)

        await self.until(there)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=10, overflow=20)
    yield engine
    await engine.dispose()


@pytest.fixture
async def post(engine: AsyncEngine, database_url: str) -> AsyncIterator[Post]:
    post = Post(await Book.open(engine), database_url)
    yield post
    await post.close()
