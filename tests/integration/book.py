"""A ledger with one customer in it, and what the service and its workers do to it, for tests."""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.customers.service import ensure_customer
from invoicing.jobs import service as ledger
from invoicing.jobs.model import (
    Claim,
    Event,
    NewJob,
    Outcome,
    Priority,
    RetryPolicy,
    Settlement,
    Size,
    State,
    TimelineEntry,
    judge,
    said_of,
    spared,
)
from invoicing.jobs.store import accept
from invoicing.jobs.store.read import entries
from invoicing.jobs.tables import jobs
from invoicing.kit.db import driver, transaction
from invoicing.kit.ids import new_id
from invoicing.lanes.model import POLICY

LEASE = timedelta(seconds=10)
SOON = RetryPolicy(max_attempts=3, first_delay=timedelta(0))
"""Retries at once, so that no test waits."""

TITLES = {"gate": "the gate", "post": "the post"}
"""What jobs may need from outside."""

WATCHED = ledger.Watch({}, timedelta(hours=1), timedelta(0))

Lane = tuple[Priority, Size]
NORMAL_SMALL: Lane = (Priority.NORMAL, Size.SMALL)


class Book:
    """Does one thing to the ledger per call, each in a transaction of its own."""

    def __init__(self, engine: AsyncEngine, customer_id: UUID) -> None:
        self.engine = engine
        self.customer_id = customer_id

    @classmethod
    async def open(cls, engine: AsyncEngine) -> Self:
        """Add the customer."""
        async with transaction(engine) as session:
            return cls(engine, (await ensure_customer(session, "acme", "Acme")).id)

    def request(
        self, key: str | None = None, kind: str = "drill", priority: str = "normal", needs: str = "", **payload: Any
    ) -> NewJob:
        """Make a checked request; `payload` is a drill's, whatever it needs."""
        body = json.dumps({"kind": kind, "payload": payload}).encode()
        job_id = new_id()
        predicted = payload.get("claimed_seconds", payload.get("seconds", 1.0))
        lane = Priority(priority), POLICY.cutoffs.classify(predicted)
        return NewJob(
            id=job_id, customer_id=self.customer_id, key_id=job_id, kind=kind, reference=None, priority=lane[0],
            size=lane[1], predicted_s=predicted, estimated_s=predicted,
            order_delay=POLICY.due_after(*lane), promise=timedelta(minutes=5),
            deadline=None, webhook=None, body=body, idempotency_key=key or str(job_id),
            body_hash=hashlib.sha256(body).digest(), needs=needs,
        )  # fmt: skip

    async def accept(self, *requests: NewJob) -> list[UUID]:
        """Accept requests in one statement; gives the jobs made."""
        async with self.engine.connect() as session:
            made = await accept.insert_jobs(await driver(session), requests)
        return [request.id for request in requests if request.id in made]

    async def submit(self, kind: str = "drill", priority: str = "normal", **payload: Any) -> UUID:
        """Accept one request."""
        (job_id,) = await self.accept(self.request(None, kind, priority, **payload))
        return job_id

    async def release(self, most: int = 100, lane: Lane = NORMAL_SMALL) -> list[tuple[UUID, int]]:
        """Move the jobs of a lane that are due first onto its runway."""
        async with self.engine.connect() as session:
            connection = await driver(session)
            queues = [queue for queue in await ledger.queues(connection) if queue[2:4] == lane]
            look = await ledger.look(connection, dict.fromkeys(queues), most, under_way=False)
            first = sorted(look.jobs, key=lambda job: (job.order_at, job.job_id))[:most]
            released = await ledger.release(connection, [(*job.ticket, lane) for job in first], look.withdrawals)
            return [one.ticket for one in released]

    async def withdraw(self, lane: Lane = NORMAL_SMALL) -> list[UUID]:
        """Take the jobs of a lane back."""
        async with transaction(self.engine) as session:
            return await ledger.withdraw(session, lane)

    async def claim(self, worker: UUID, tickets: Sequence[tuple[UUID, int]], lease: timedelta = LEASE) -> list[Claim]:
        """Take the lease on released jobs."""
        async with self.engine.connect() as session:
            return await ledger.claim(await driver(session), worker, tickets, lease)

    async def start(self, worker: UUID, lease: timedelta = LEASE, **payload: Any) -> Claim:
        """Submit a job and claim it."""
        await self.submit(**payload)
        (claim,) = await self.claim(worker, await self.release(), lease)
        return claim

    async def settle(self, claim: Claim, outcome: Outcome, policy: RetryPolicy = SOON) -> bool:
        """End an attempt; tells whether it was still the current one."""
        said, otherwise = said_of(outcome, claim.needs, TITLES), spared(outcome, claim.failures, policy)
        verdict = judge(outcome, claim.failures, policy, 0.0)
        settlement = Settlement(claim.id, claim.attempt, verdict, said=said, spared=otherwise)
        async with self.engine.connect() as session:
            return claim.id in await ledger.settle(await driver(session), [settlement])

    async def renew(self, worker: UUID, *claims: Claim, lease: timedelta = LEASE) -> dict[tuple[UUID, int], bool]:
        """Extend leases."""
        async with self.engine.connect() as session:
            attempts = [(claim.id, claim.attempt) for claim in claims]
            return await ledger.renew(await driver(session), worker, attempts, lease)

    async def rescue(self, watch: ledger.Watch = WATCHED) -> dict[UUID, State]:
        """Rescue what is lost; the watch was long enough to prove that those are dead of whom nothing is heard."""
        async with self.engine.connect() as session:
            return await ledger.rescue(await driver(session), watch)

    async def lose(self, job_id: UUID) -> None:
        """Let a lease run out, and rescue."""
        async with transaction(self.engine) as session:
            await session.execute(
                text("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = :id AND state = 'running'"),
                {"id": job_id},
            )
        await self.rescue()

    async def cancel(self, job_id: UUID) -> tuple[State, State | None] | None:
        """Cancel as the customer."""
        async with transaction(self.engine) as session:
            return await ledger.cancel(session, self.customer_id, job_id)

    async def row(self, job_id: UUID) -> RowMapping:
        """Read a job."""
        async with self.engine.connect() as session:
            return (await session.execute(select(jobs).where(jobs.c.id == job_id))).mappings().one()

    async def rows(self) -> Sequence[RowMapping]:
        """Read all jobs, the oldest first."""
        async with self.engine.connect() as session:
            return (await session.execute(select(jobs).order_by(jobs.c.id))).mappings().all()

    async def timeline(self, job_id: UUID) -> list[TimelineEntry]:
        """Read a job's timeline."""
        async with self.engine.connect() as session:
            return await entries(session, job_id, after=0, limit=10_000)

    async def events(self, job_id: UUID) -> list[Event]:
        """Name what happened to a job."""
        return [entry.event for entry in await self.timeline(job_id)]

    async def scalar(self, statement: str, **values: Any) -> Any:
        """Read one value."""
        async with self.engine.connect() as session:
            return await session.scalar(text(statement), values)

    async def do(self, statement: str, **values: Any) -> None:
        """Execute a statement of the test's own."""
        async with transaction(self.engine) as session:
            await session.execute(text(statement), values)
