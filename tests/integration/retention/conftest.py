"""A ledger with finished jobs of any age in it."""

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.invoices import service as invoices
from invoicing.jobs import retention, service
from invoicing.jobs.model import Claim, Failed, JobError, Outcome, Rejected, RetryPolicy, Succeeded
from invoicing.kit.db import make_engine, transaction
from workers.retention import Sweeper

from ..book import Book

ERROR = JobError("broken", "It broke.")
WORKER = uuid4()
PART = b"<Invoice/>" * 1000
ENDS = ("succeeded", "succeeded_later", "dead", "cancelled")


class Archive(Book):
    """Ends jobs in the past."""

    async def end(self, ended: str = "succeeded", ago: timedelta = timedelta(0), kind: str = "drill") -> UUID:
        """Have a job end in some way, a while ago, with everything a job can leave behind."""
        job = await self.submit(kind, claimed_seconds=0.5)
        if ended == "cancelled":
            await self.cancel(job)
        elif ended == "succeeded_later":
            await self._settle(Failed(ERROR))
            await self._settle(Succeeded({}))
        else:
            await self._settle(Succeeded({}) if ended == "succeeded" else Rejected(ERROR))
        await self.age(job, ago)
        return job

    async def issue(self, ago: timedelta, *, issued: bool = True) -> tuple[UUID, str]:
        """Have an invoice numbered, and issued or not: then its job dies."""
        job = await self.submit("invoice.issue", claimed_seconds=0.5)
        (claim,) = [one for one in await self.claim(WORKER, await self.release()) if one.id == job]
        wanted = invoices.Numbering(
            job, self.customer_id, "vat:DE1", "2026", "invoice", "EUR", Decimal("351.05"), None, {}
        )
        async with transaction(self.engine) as session:
            number = await invoices.number(session, wanted)
            if issued:
                for seq in range(2):
                    await service.write_artifact_part(session, job, "invoice.xml", "application/xml", seq, PART)
                await service.complete_artifact(session, job, "invoice.xml", hashlib.sha256(PART * 2).hexdigest())
                await invoices.mark_issued(session, job)
        assert await self.settle(claim, Succeeded({"number": number}) if issued else Rejected(ERROR))
        await self.age(job, ago)
        return job, number

    async def age(self, job: UUID, ago: timedelta) -> None:
        """Let a job and its key have come and ended earlier than they did."""
        shift = "- CAST(:ago AS interval)"
        times = f"finished_at = finished_at {shift}, submitted_at = submitted_at {shift}"
        await self.do(f"UPDATE jobs SET {times} WHERE id = :job", ago=ago, job=job)
        await self.do(
            f"UPDATE idempotency_keys SET created_at = created_at {shift} WHERE job_id = :job", ago=ago, job=job
        )

    async def leave_files(self, job: UUID, parts: int = 2) -> None:
        """Give a job parts of a request and of a result file, and a checkpoint."""
        async with transaction(self.engine) as session:
            for seq in range(parts):
                await service.write_artifact_part(session, job, "a.txt", "text/plain", seq, b"x")
            await service.write_checkpoint(session, job, 1, {"at": 1})
        await self.do("INSERT INTO payload_parts (job_id, part, body) VALUES (:job, 1, 'x')", job=job)

    async def jobs(self) -> set[UUID]:
        """List the jobs that are there."""
        return {row["id"] for row in await self.rows()}

    async def _settle(self, outcome: Outcome) -> Claim:
        (claim,) = await self.claim(WORKER, await self.release())
        assert await self.settle(claim, outcome, RetryPolicy(max_attempts=3, first_delay=timedelta(0)))
        return claim


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url, pool_size=10)
    yield engine
    await engine.dispose()


@pytest.fixture
async def archive(engine: AsyncEngine) -> Archive:
    return await Archive.open(engine)


@pytest.fixture
def sweeper(engine: AsyncEngine) -> Callable[..., Sweeper]:
    """Make a sweeper that works without pauses, by what the kinds say or a setting changes."""

    def make(setting: str = "", batch: int = 100) -> Sweeper:
        rules = retention.rules(load_kinds(drills=True), setting)
        return Sweeper(engine, lambda: rules, share=1.0, batch=batch)

    return make
