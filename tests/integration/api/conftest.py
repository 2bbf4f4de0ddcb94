"""The web process on a real port, inside the test's own event loop, with keys of every role."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app import load_kinds
from invoicing.app.web import Server, create_app
from invoicing.customers import service as customers
from invoicing.customers.model import Role
from invoicing.jobs import service as ledger
from invoicing.jobs.model import (
    JobError,
    Outcome,
    Progress,
    Rejected,
    RetryPolicy,
    Settlement,
    Succeeded,
    judge,
)
from invoicing.kit.db import driver, make_engine, transaction
from invoicing.settings import Settings

DRILL = {"kind": "drill", "payload": {"seconds": 1}}

_keys = itertools.count()


class QuietServer(Server):
    """A server that leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Customer(httpx.AsyncClient):
    """Somebody with a key, as a client."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30, verify=False)
        self.key = key

    async def submit(self, body: Any = None, key: str | None = None, **more: Any) -> httpx.Response:
        """Submit a drill, or what is given, under a fresh idempotency key unless one is given."""
        headers = {"Idempotency-Key": key or f"key-{next(_keys)}", **more.pop("headers", {})}
        return await self.post("/v1/jobs", json=DRILL if body is None else body, headers=headers, **more)

    async def job(self, body: Any = None, **more: Any) -> dict[str, Any]:
        """Submit and give the job."""
        answer = await self.submit(body, **more)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())


class Hand:
    """Does with jobs what the workers would."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.worker = uuid4()

    async def start(self, job_id: str) -> None:
        """Release and claim a job."""
        release = text("UPDATE jobs SET released_at = now() WHERE id = :id AND state = 'queued' RETURNING id")
        async with transaction(self.engine) as session:
            assert (await session.execute(release, {"id": job_id})).one_or_none(), "the job is not waiting"
        async with self.engine.connect() as session:
            claims = await ledger.claim(await driver(session), self.worker, [(UUID(job_id), 1)], timedelta(minutes=5))
        assert len(claims) == 1

    async def progress(self, job_id: str, done: float, total: float) -> None:
        async with transaction(self.engine) as session:
            await ledger.write_progress(session, UUID(job_id), 1, Progress(done, total, "chunks"))

    async def end(self, job_id: str, outcome: Outcome | None = None) -> None:
        """Settle a running job."""
        verdict = judge(outcome or Succeeded({"fine": True}), 0, RetryPolicy(), 0.0)
        async with self.engine.connect() as session:
            settled = await ledger.settle(await driver(session), [Settlement(UUID(job_id), 1, verdict)])
        assert settled == {UUID(job_id)}

    async def finish(self, job_id: str) -> None:
        await self.start(job_id)
        await self.end(job_id)

    async def fail(self, job_id: str) -> None:
        await self.start(job_id)
        await self.end(job_id, Rejected(JobError("bad_input", "No.", field="/payload/seconds")))

    async def write(self, job_id: str, name: str, *parts: bytes, sha256: str | None = None) -> None:
        """Write a result file's parts, and complete it when its digest is given."""
        async with transaction(self.engine) as session:
            for seq, body in enumerate(parts):
                await ledger.write_artifact_part(session, UUID(job_id), name, "text/plain", seq, body)
            if sha256 is not None:
                await ledger.complete_artifact(session, UUID(job_id), name, sha256)


@dataclass
class Service:
    """A running service: its address, its application, and a client for each kind of caller."""

    url: str
    app: FastAPI
    server: Server
    engine: AsyncEngine
    acme: Customer
    other: Customer
    support: Customer
    ops: Customer
    admin: Customer
    hand: Hand


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    engine = make_engine(database_url)
    async with transaction(engine) as session:
        acme = await customers.add_customer(session, "acme", "Acme AG", 1e6, 1_000_000)
        other = await customers.add_customer(session, "other", "Other Ltd", 1e6, 1_000_000)
        owners = {"acme": acme.id, "other": other.id}
        keys = {
            name: await customers.create_key(session, role, name, owners.get(name))
            for name, role in [
                ("acme", Role.CUSTOMER),
                ("other", Role.CUSTOMER),
                ("support", Role.SUPPORT),
                ("ops", Role.OPS),
                ("admin", Role.ADMIN),
            ]
        }
    settings = Settings(
        database_url=database_url,
        drills=True,
        largest_body=8 * 1024 * 1024,
        metrics_token="a-token-of-monitoring",
        smtp_url="smtp://127.0.0.1:9",
        mail_from="invoices@example.com",
    )
    app = create_app(settings, load=partial(load_kinds, drills=True))
    server = QuietServer(uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=5))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        assert not running.done(), running.result()
    port = server.servers[0].sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    clients = {name: Customer(url, key) for name, key in keys.items()}
    yield Service(url, app, server, engine, hand=Hand(engine), **clients)
    for client in clients.values():
        await client.aclose()
    server.should_exit = True
    await running
    await engine.dispose()


@pytest.fixture
def acme(service: Service) -> Customer:
    return service.acme
