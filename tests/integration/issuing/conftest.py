"""Issuing end to end: requests taken in as the web process takes them in, performed by real child processes.

A module's tests share a ledger and warm children (a child costs seconds to start, since it compiles the rules), and
each test has customers of its own.
"""

import asyncio
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import select, text

from invoicing.app import load_kinds
from invoicing.cli.bills import large_request
from invoicing.customers import service as customers
from invoicing.invoices.rules import Judge
from invoicing.invoices.schemas import Schemas
from invoicing.invoices.tables import invoice_chunks, invoices
from invoicing.jobs import service as ledger
from invoicing.jobs.accepting import Acceptor
from invoicing.jobs.checking import Checker
from invoicing.jobs.kinds import JobKind
from invoicing.jobs.model import FINISHED, Artifact, Claim, Job, Size, State
from invoicing.jobs.store import artifacts
from invoicing.jobs.store.read import job_of
from invoicing.jobs.submission import Origin, Placed, Rulings, new_job
from invoicing.jobs.tables import jobs
from invoicing.kit.clock import now
from invoicing.kit.db import driver, make_engine, transaction
from workers.attempts import Attempt, Pack
from workers.messages import Surroundings
from workers.nursery import Nursery
from workers.runner import Runner
from workers.sandbox import ChildProcess
from workers.settling import Settler
from workers.terms import Terms

_EXAMPLES = Path(__file__).parents[3] / "examples"
_RELEASE = text("UPDATE jobs SET released_at = now() WHERE id = :id AND state IN ('queued', 'retrying') RETURNING id")
_LAPSE = text("UPDATE jobs SET lease_until = now() - interval '1 s' WHERE id = :id AND state = 'running'")
_HOLDING = text("""
CREATE OR REPLACE FUNCTION wait_for_test() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared(hashtext(NEW.job_id::text)); RETURN NEW; END $$
""")
_HOLD_ISSUING = text(
    "CREATE OR REPLACE TRIGGER held BEFORE UPDATE ON invoices FOR EACH ROW EXECUTE FUNCTION wait_for_test()"
)
_HOLD = text("SELECT pg_advisory_xact_lock(hashtext(CAST(:id AS text)))")


@dataclass(frozen=True)
class Ended:
    """A job, with its files as a customer would download them."""

    job: Job
    artifacts: Mapping[str, Artifact]
    files: Mapping[str, bytes]

    @property
    def number(self) -> str:
        assert self.job.result is not None, self.job.error
        return str(self.job.result["number"])


class Office:
    """Takes requests in and has them performed, as the service does, but one step at a time where a test wants that."""

    def __init__(self, url: str, folder: Path, slots: int, settings: Mapping[str, str]) -> None:
        self.engine = make_engine(url, pool_size=20)
        self.kinds = load_kinds(drills=False)
        self.nursery = Nursery(Surroundings(url, drills=False, settings=settings), slots)
        self._settler = Settler(self.engine)
        self.runner = Runner(self.kinds, self.nursery, self._settler, Terms(slots), lambda: None)
        self._acceptor = Acceptor(self.engine)
        self._checker = Checker(self.kinds)
        self._unchecked = Checker({name: _believing(kind) for name, kind in self.kinds.items()})
        self._folder = folder
        self._worker = uuid4()

    async def open(self) -> None:
        self._settler.start()
        await self.nursery.start()

    async def close(self) -> None:
        await self._settler.stop()
        await self.nursery.close()
        await self.engine.dispose()

    async def customer(self) -> UUID:
        async with transaction(self.engine) as session:
            return (await customers.ensure_customer(session, f"c{uuid4().hex}", "Acme")).id

    async def submit(
        self, customer: UUID, request: Mapping[str, Any] | bytes, *, key: str | None = None, checked: bool = True
    ) -> UUID:
        """Take a request in; one that is not checked is believed, as if an older build had accepted it."""
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        file, parts = self._folder / f"{uuid4().hex}.json", self._folder / "parts"
        file.write_bytes(body)
        verdict = (self._checker if checked else self._unchecked).check(file, parts)
        assert verdict.problem is None, verdict.problem
        written = parts.read_bytes()
        pieces = [(part.items, written[part.first : part.first + part.length]) for part in verdict.parts]
        envelope = pieces.pop(0)[1] if pieces else body
        origin = Origin(customer, uuid4(), key or uuid4().hex, hashlib.sha256(body).digest())
        new = new_job(verdict.of, origin, self.kinds[verdict.of.kind], Rulings(_place), envelope)
        return (await self._acceptor.accept_large(new, pieces)).job_id

    async def start(self, job_id: UUID) -> "asyncio.Task[None]":
        """Release and claim a waiting job, and begin an attempt at it."""
        async with transaction(self.engine) as session:
            assert await session.scalar(_RELEASE, {"id": job_id}) == job_id, "the job is not waiting"
        attempt = (await self.job(job_id)).attempt + 1
        async with self.engine.connect() as session:
            (claim,) = await ledger.claim(
                await driver(session), self._worker, [(job_id, attempt)], timedelta(minutes=10)
            )
        return asyncio.create_task(self._attempt(claim))

    async def _attempt(self, claim: Claim) -> None:
        """Carry an attempt until its end is written."""
        (pack,) = self.runner.begin([claim])
        await self.runner.run(pack)
        await self.runner.ended()

    async def finish(self, job_id: UUID) -> Ended:
        """Attempt a job until it has ended."""
        while (await self.job(job_id)).state not in FINISHED:
            await (await self.start(job_id))
        return await self.ended(job_id)

    async def issue(self, customer: UUID, request: Mapping[str, Any] | bytes, **how: Any) -> Ended:
        return await self.finish(await self.submit(customer, request, **how))

    def attempt_at(self, job_id: UUID) -> Attempt | None:
        return next((each for key, each in self.runner.attempts.items() if key[0] == job_id), None)

    def pack_of(self, job_id: UUID) -> Pack | None:
        """Find what a child is given, or waits to be given, of a job."""
        return next((each for key, each in self.runner.packs.items() if key[0] == job_id), None)

    async def child_at(self, job_id: UUID) -> ChildProcess:
        """Wait until a child performs the job."""
        async with asyncio.timeout(60):
            while True:
                if (pack := self.pack_of(job_id)) is not None and pack.child is not None:
                    return pack.child
                await asyncio.sleep(0.002)

    @asynccontextmanager
    async def children_stopped(self) -> AsyncIterator[None]:
        """Have no child get on while the block runs."""
        pids = [child.pid for child in self.nursery._idle]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    async def kill(self, job_id: UUID) -> None:
        """Kill the child that performs a job, as the kernel does when memory runs out."""
        os.kill((await self.child_at(job_id)).pid, signal.SIGKILL)

    async def lose_worker(self, job_id: UUID) -> None:
        """Have a job's worker lose its lease: nobody settles the attempt, and the job is rescued.

        The worker is heard of later, so that however often this happens the job is not taken to kill its workers.
        """
        attempt = self.attempt_at(job_id)
        assert attempt is not None
        self.runner.lose(attempt)
        async with transaction(self.engine) as session:
            await session.execute(_LAPSE, {"id": job_id})
        async with self.engine.connect() as session:
            heard = ledger.Sign("here", now() + timedelta(hours=1))
            watch = ledger.Watch({self._worker: heard}, timedelta(0), timedelta(seconds=30))
            assert job_id in await ledger.rescue(await driver(session), watch)

    def stop(self, job_id: UUID, why: str) -> None:
        """Tell the attempt at a job to stop at its next checkpoint."""
        attempt = self.attempt_at(job_id)
        assert attempt is not None
        self.runner.stop(attempt, why, None)

    async def cancel(self, job_id: UUID) -> State | None:
        """Cancel as the API does; gives the state afterwards, None when it was refused."""
        customer = (await self.job(job_id)).customer_id
        async with transaction(self.engine) as session:
            found = await ledger.cancel(session, customer, job_id)
        assert found is not None
        return found[1]

    async def job(self, job_id: UUID) -> Job:
        async with self.engine.connect() as session:
            return job_of((await session.execute(select(jobs).where(jobs.c.id == job_id))).mappings().one())

    async def ended(self, job_id: UUID) -> Ended:
        async with self.engine.connect() as session:
            listed = {each.name: each for each in (await artifacts.of_jobs(session, [job_id])).get(job_id, [])}
            files = {
                name: b"".join([part async for part in ledger.artifact_content(session, job_id, name)])
                for name in listed
            }
        return Ended(await self.job(job_id), listed, files)

    async def chunks(self, job_id: UUID) -> int:
        """Count the finished chunks of a large invoice."""
        async with self.engine.connect() as session:
            found = await session.execute(select(invoice_chunks.c.part).where(invoice_chunks.c.job_id == job_id))
            return len(found.all())

    async def until_chunks(self, job_id: UUID, count: int) -> None:
        async with asyncio.timeout(60):
            while await self.chunks(job_id) < count:  # noqa: ASYNC110 - another process makes them
                await asyncio.sleep(0.005)

    async def number_held(self, job_id: UUID) -> str | None:
        """Read the number that a job holds, issued or not."""
        async with self.engine.connect() as session:
            number: str | None = await session.scalar(select(invoices.c.number).where(invoices.c.job_id == job_id))
            return number

    @asynccontextmanager
    async def held_before_issuing(self, job_id: UUID) -> AsyncIterator[None]:
        """Have every attempt at a job wait, while the block runs, where it has its number and is not issued yet."""
        async with transaction(self.engine) as session:
            await session.execute(_HOLDING)
            await session.execute(_HOLD_ISSUING)
        async with transaction(self.engine) as session:
            await session.execute(_HOLD, {"id": str(job_id)})
            yield

    async def until_numbered(self, job_id: UUID) -> str:
        async with asyncio.timeout(60):
            while (number := await self.number_held(job_id)) is None:  # noqa: ASYNC110 - another process gives it
                await asyncio.sleep(0.005)
        return number


def _believing(kind: JobKind) -> JobKind:
    streamed = kind.streamed and replace(kind.streamed, audit=None)
    return replace(kind, check=lambda _: (), streamed=streamed)


def _place(_kind: str, _customer: UUID, estimated_s: float, _priority: object) -> Placed:
    return Placed(Size.SMALL, timedelta(0), estimated_s)


@pytest.fixture(scope="module")
def ledger_url(postgres_url: str, template: str, administrator: Any) -> Iterator[str]:
    """Make a migrated database that the tests of a module share, as their children do."""
    name = f"test_{uuid4().hex}"
    administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield urlunsplit(urlsplit(postgres_url)._replace(path=f"/{name}"))
    administrator.drop(name)


@pytest.fixture(scope="module")
def kind_settings() -> Mapping[str, str]:
    """Give what the children are told; a module may have its own."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(
    request: pytest.FixtureRequest,
    ledger_url: str,
    tmp_path_factory: pytest.TempPathFactory,
    kind_settings: Mapping[str, str],
) -> AsyncIterator[Office]:
    """Open an office; a module that performs several jobs at a time says so with `SLOTS`."""
    slots = getattr(request.module, "SLOTS", 1)
    office = Office(ledger_url, tmp_path_factory.mktemp("requests"), slots, kind_settings)
    await office.open()
    yield office
    await office.close()


@pytest.fixture(scope="session")
def example() -> Callable[[str], dict[str, Any]]:
    """Read a request that the project ships."""
    return lambda name: dict(json.loads((_EXAMPLES / f"{name}.json").read_text("utf-8")))


@pytest.fixture(scope="session")
def bills() -> Callable[[int], bytes]:
    """Write a request of so many lines over four years; the same number gives the same bytes."""
    return lambda lines: b"".join(large_request(7, lines, date(2026, 11, 22)))


@pytest.fixture(scope="session")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="session")
def schemas() -> Schemas:
    return Schemas()
