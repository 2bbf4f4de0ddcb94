"""A ledger in which much waits, and what the service asks itself about it again and again: each a call to be timed."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from benchmarks.backlog import add_customers, add_jobs, add_workers
from benchmarks.stored_rows import store
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.app.web import create_app
from invoicing.customers import service
from invoicing.customers import store as customers
from invoicing.customers.model import Role
from invoicing.diagnosis import foreseeing
from invoicing.diagnosis import service as diagnosis
from invoicing.incidents import keeping
from invoicing.jobs import service as jobs
from invoicing.jobs import updates
from invoicing.jobs.model import Size
from invoicing.kit.clock import now
from invoicing.kit.db import make_engine, transaction
from invoicing.kit.listen import plain_url
from invoicing.lanes.model import quotas
from invoicing.lanes.positions import compute
from invoicing.settings import Settings
from workers.keeper import Keeper
from workers.observer import Observer

CUSTOMERS = 100
WORKERS, SLOTS = 16, 4
FINISHED = 20_000
SOON, AT_RISK = 300, 20
"""Promises that are due soon, and those of them that a round of the keeper finds at risk."""
OWED = 50
"""Jobs of which news is due in a round."""
_PAGE = 50
_UNLIMITED = {"rate_per_s": 1e6, "burst": 10_000_000, "max_waiting": 100_000_000}
_FAR = timedelta(days=1)

# all slots are taken by jobs that take long, so that nothing is the matter and everything waits
_RUN = """
WITH started AS (
    UPDATE jobs SET state = 'running', attempt = 1, revision = 2, lease_until = now() + interval '1 day',
        worker_id = picked.worker, started_at = now(), predicted_s = 3600
    FROM (
        SELECT id, workers[1 + (row_number() OVER (ORDER BY order_at)) % cardinality(workers)] AS worker
        FROM jobs, (SELECT $2::uuid[] AS workers) AS w WHERE state = 'queued' ORDER BY order_at LIMIT $1
    ) AS picked WHERE jobs.id = picked.id RETURNING jobs.id, worker_id
)
INSERT INTO attempts (job_id, number, worker_id) SELECT id, 1, worker_id FROM started
"""
_ALIVE = """
UPDATE workers SET beat_at = now() + interval '1 day', loop_beat_at = now() + interval '1 day',
    kinds = ARRAY(SELECT DISTINCT kind FROM jobs)
"""
_SOME = """
(SELECT id FROM jobs WHERE customer_id = $1 AND state = 'queued' ORDER BY order_at LIMIT $2)
UNION (SELECT id FROM jobs WHERE customer_id = $1 AND state = 'queued' ORDER BY id DESC LIMIT $2)
"""
_OTHERS = "SELECT id FROM jobs WHERE customer_id <> $1 AND state = 'queued' ORDER BY id DESC LIMIT $2"
_PROMISE = """
UPDATE jobs SET submitted_at = now() - interval '1 min', promise_status = 'on_track',
    promise_due = now() + CASE WHEN id = ANY($2::uuid[]) THEN interval '10 s' ELSE interval '100 s' END
WHERE id = ANY($1::uuid[])
"""


async def fill(url: str, waiting: int) -> None:
    """Let so many small jobs wait behind those that hold every slot, and have others finished long ago."""
    connection = await asyncpg.connect(plain_url(url))
    ids = await add_customers(connection, CUSTOMERS)
    workers = await add_workers(connection, WORKERS, SLOTS)
    await store(connection, FINISHED)
    running = WORKERS * quotas(SLOTS)[Size.SMALL]
    await add_jobs(connection, waiting + running, ids, 0.2, _FAR)
    await connection.execute(_RUN, running, workers)
    await connection.execute(_ALIVE)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


@dataclass
class Ledger:
    """A filled ledger, those who look at it, and the jobs that are asked about."""

    engine: AsyncEngine
    connection: "asyncpg.Connection[Any]"
    client: httpx.AsyncClient
    asked: Sequence[UUID]
    """Waiting jobs of the customer who asks, first ones and last ones."""
    due_soon: Sequence[UUID]
    observer: Observer
    statements: list[str] = field(default_factory=list)
    """All that PostgreSQL was asked."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def keeper(self) -> Keeper:
        """Give one that begins anew with what is due later, as it does every half a minute."""
        return Keeper(self.engine, diagnosis.explain)

    async def get(self, path: str) -> None:
        """Ask the web process's own application."""
        answer = await self.client.get(path.replace("{id}", str(self.chance.choice(self.asked))))
        answer.raise_for_status()


async def incidents(ledger: Ledger) -> int:
    """Count what was found to be the matter."""
    found: int = await ledger.connection.fetchval("SELECT count(*) FROM incidents")
    return found


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Ledger]:
    """Open a filled ledger."""
    engine, noted = make_engine(url), list[str]()
    _note(engine, noted)
    connection = await asyncpg.connect(plain_url(url))
    owner: UUID = await connection.fetchval("SELECT customer_id FROM jobs WHERE state = 'queued' LIMIT 1")
    async with transaction(engine) as session:
        await customers.set_limits(session, owner, _UNLIMITED)
        key = await service.create_key(session, Role.CUSTOMER, "asks", owner)
    asked = [row["id"] for row in await connection.fetch(_SOME, owner, _PAGE)]
    due_soon = [row["id"] for row in await connection.fetch(_OTHERS, owner, SOON)]
    app = create_app(Settings(database_url=url, drills=True), engine=engine)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here", headers=headers) as client:
        yield Ledger(engine, connection, client, asked, due_soon, Observer(engine), noted)
    await connection.close()
    await engine.dispose()


def _note(engine: AsyncEngine, noted: list[str]) -> None:
    """Note every statement, whether it goes through SQLAlchemy or straight to the driver."""

    def through(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        noted.append(statement)

    def straight(record: Any) -> None:  # noqa: ANN401 - as the driver has it
        if record.query.rstrip(";") not in {"COMMIT", "ROLLBACK"} and not record.query.startswith("BEGIN"):
            noted.append(record.query)

    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401 - the pool's own type
        connection.driver_connection.add_query_logger(straight)

    event.listen(engine.sync_engine, "before_cursor_execute", through)
    event.listen(engine.sync_engine, "connect", connected)


async def _shared(ledger: Ledger) -> None:
    """Have what concerns all jobs read: whoever asks next takes it as it was a moment ago."""
    await _explain(ledger, fresh=False)


async def _watched(ledger: Ledger) -> None:
    await _shared(ledger)
    await ledger.connection.execute("UPDATE places SET at = now() WHERE name = 'watch'")


async def _find(ledger: Ledger, *, thorough: bool) -> None:
    async with transaction(ledger.engine) as session:
        await keeping.keep(session, thorough=thorough)


async def _promised(ledger: Ledger) -> None:
    await _shared(ledger)
    await ledger.connection.execute(_PROMISE, ledger.due_soon, ledger.due_soon[:AT_RISK])


async def _keep(ledger: Ledger) -> None:
    if (found := await ledger.keeper().round()) != AT_RISK:
        raise RuntimeError(f"the keeper told of {found} promises instead of {AT_RISK}")


async def _owe(ledger: Ledger) -> None:
    await _shared(ledger)
    async with transaction(ledger.engine) as session:
        owed = await jobs.anybodys(session, ledger.due_soon[-OWED:])
        await updates.owe(session, {(job.id, job.revision): now() for job in owed})


async def _update(ledger: Ledger) -> None:
    if (found := await ledger.keeper().update()) != OWED:
        raise RuntimeError(f"the keeper told of {found} jobs instead of {OWED}")


async def _foresee(ledger: Ledger) -> None:
    async with transaction(ledger.engine) as session:
        await foreseeing.foresee_some(session)


async def _positions(ledger: Ledger) -> None:
    async with ledger.engine.connect() as session:
        await compute(session)


async def _explain(ledger: Ledger, *, fresh: bool) -> None:
    async with ledger.engine.connect() as session:
        asked = await jobs.anybodys(session, [ledger.chance.choice(ledger.asked)])
        await diagnosis.explain(session, asked, fresh=fresh)


@dataclass(frozen=True)
class Call:
    """What is timed, and what is made ready before it."""

    do: Callable[[Ledger], Awaitable[object]]
    ready: Callable[[Ledger], Awaitable[object]] = _shared


CALLS: Mapping[str, Call] = {
    "observer: a look at the lanes": Call(lambda ledger: ledger.observer.look()),
    "detector: a quick look for incidents": Call(partial(_find, thorough=False), _watched),
    "detector: a thorough one": Call(partial(_find, thorough=True), _watched),
    f"keeper: {SOON} promises due soon and a page of others, {AT_RISK} at risk": Call(_keep, _promised),
    f"keeper: news of {OWED} jobs": Call(_update, _owe),
    "calibration: up to 10 ends foreseen, others scored": Call(_foresee),
    "everybody's positions, read anew": Call(_positions),
    "one job's ETA and cause, all read anew": Call(partial(_explain, fresh=True)),
    "one job's ETA and cause": Call(partial(_explain, fresh=False)),
    "GET a job": Call(lambda ledger: ledger.get("/v1/jobs/{id}")),
    "GET why": Call(lambda ledger: ledger.get("/v1/jobs/{id}/why")),
    f"GET a page of {_PAGE}": Call(lambda ledger: ledger.get(f"/v1/jobs?limit={_PAGE}")),
}
