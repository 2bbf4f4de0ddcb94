"""The migrations make what the code expects, can be undone, and the hot statements find their indexes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import alembic.command
import alembic.config
import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.jobs import service as ledger
from invoicing.jobs.model import State
from invoicing.jobs.store import backlog, release
from invoicing.jobs.store.attempt import _RENEW
from invoicing.jobs.store.promise_tallies import count
from invoicing.jobs.store.promises import may_break
from invoicing.jobs.store.read import page
from invoicing.jobs.store.rescue import _LOST
from invoicing.jobs.store.shift import due_behind, newcomers
from invoicing.kit.db import Session, driver, transaction
from invoicing.lanes.store import fold_tallies

from ..book import Book

FIRST = (datetime(2026, 1, 1, tzinfo=UTC), uuid4())
LATE = datetime(2100, 1, 1, tzinfo=UTC)
LATE_ID, LAST_ID = UUID(int=(2**16 - 16) << 112), UUID(int=2**128 - 1)

_ALEMBIC = Path(__file__).parents[3] / "alembic.ini"


def migrate(url: str, command: Callable[..., Any], *arguments: str) -> None:
    """Run Alembic beside the test's own event loop."""
    config = alembic.config.Config(_ALEMBIC)
    config.attributes["url"] = url
    with ThreadPoolExecutor(1) as thread:
        thread.submit(command, config, *arguments).result()


async def described(url: str) -> list[tuple[Any, ...]]:
    """Describe every column, constraint and index."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch("""
        SELECT 'column', table_name::text, column_name::text, concat_ws(' ', data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        UNION ALL SELECT 'index', tablename::text, indexname::text, indexdef
        FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1, 2, 3
    """)
    await connection.close()
    return [tuple(row) for row in rows]


def test_the_migrations_make_what_the_tables_say(database_url: str) -> None:
    migrate(database_url, alembic.command.check)


async def test_the_migrations_can_be_undone_and_done_again(database_url: str) -> None:
    made = await described(database_url)
    migrate(database_url, alembic.command.downgrade, "base")
    assert await described(database_url) == []
    migrate(database_url, alembic.command.upgrade, "head")
    assert await described(database_url) == made


async def test_before_customers_are_told_of_incidents_nothing_of_that_is_left_and_all_else_is(
    book: Book, database_url: str
) -> None:
    incident, endpoint, message = uuid4(), uuid4(), "INSERT INTO messages (id, endpoint_id, body, channel, event"
    await book.do(
        "INSERT INTO incidents (id, cause, scope, severity, state, since, opened_at, seen_at, revision) "
        "VALUES (:id, 'no_worker', '*', 'S1', 'open', now(), now(), now(), 1)",
        id=incident,
    )
    await book.do(
        "INSERT INTO incident_notices (incident_id, customer_id, cause, since, next_update_by) "
        "VALUES (:id, :customer, 'no_worker', now(), now())",
        id=incident, customer=book.customer_id,
    )  # fmt: skip
    values = {"id": incident, "endpoint": endpoint, "customer": book.customer_id}
    for rest in (
        ", customer_id, incident_id, seq) VALUES (:id, :endpoint, '', 'webhook', 'incident.opened', :customer, :id, 1)",
        ", incident_id, seq) VALUES (gen_random_uuid(), :endpoint, '', 'alert_webhook', 'alert.open', :id, 2)",
        ", customer_id) VALUES (gen_random_uuid(), :endpoint, '', 'webhook', 'test', :customer)",
    ):
        await book.do(message + rest, **{name: value for name, value in values.items() if f":{name}" in rest})
    migrate(database_url, alembic.command.downgrade, "0016")
    left = await book.scalar("SELECT array_agg(event ORDER BY event) FROM messages")
    assert left == ["alert.open", "test"]
    assert await book.scalar("SELECT to_regclass('incident_notices')") is None
    migrate(database_url, alembic.command.upgrade, "head")
    assert await book.scalar("SELECT count(*) FROM incident_notices") == 0
    assert await book.scalar("SELECT count(*) FROM incidents") == 1


async def test_before_anything_held_jobs_what_is_held_waits_as_all_else_and_is_counted(
    book: Book, database_url: str
) -> None:
    await book.accept(*(book.request(needs=needs) for needs in ("gate", "gate post", "")))
    for held in ("held = true", "state = 'in_review'"):
        await book.do(f"UPDATE jobs SET {held} WHERE id = :id", id=await book.submit())
    paused = await book.submit()
    await book.do("UPDATE jobs SET held = true, state = 'retrying' WHERE id = :id", id=paused)
    await book.do("INSERT INTO holds (job_id, due, reason, by) VALUES (:id, now(), 'a look', 'ops:test')", id=paused)
    waiting = "SELECT sum(waiting) FROM (SELECT waiting FROM tallies UNION ALL SELECT waiting FROM tally_changes) w"
    assert await book.scalar(waiting) == 3
    await book.do("INSERT INTO outages (dependency, since, title) VALUES ('gate', now(), 'the gate')")
    async with transaction(book.engine) as session:
        await fold_tallies(session, 2)
    migrate(database_url, alembic.command.downgrade, "0017")
    assert await book.scalar(waiting) == 6
    assert await book.scalar("SELECT count(*) FROM jobs WHERE state = 'queued'") == 5
    migrate(database_url, alembic.command.upgrade, "head")
    assert await book.scalar(waiting) == 6
    assert len(await book.release()) == 6


@pytest.fixture
async def many(book: Book) -> Book:
    """20,000 jobs of two customers: most finished, as in a service that has run for a while."""
    await book.do("INSERT INTO customers (id, slug, name) VALUES (:id, 'other', 'Other')", id=uuid4())
    await book.do("""
        INSERT INTO jobs (id, customer_id, kind, reference, priority, size, predicted_s, state, order_at, promise_due,
            finished_at, lease_until, worker_id, attempt)
        SELECT gen_random_uuid(), c.id, 'drill', 'R-' || n, (ARRAY['urgent','normal','bulk'])[1 + n % 3],
            (ARRAY['small','medium','large','huge'])[1 + n % 4], 1,
            CASE WHEN n % 10 < 7 THEN 'succeeded' WHEN n % 500 = 8 THEN 'running' ELSE 'queued' END,
            now() + n * interval '1 ms', now(), CASE WHEN n % 10 < 7 THEN now() END,
            CASE WHEN n % 10 >= 7 AND n % 500 = 8 THEN now() + interval '10 s' END,
            CASE WHEN n % 10 >= 7 AND n % 500 = 8 THEN gen_random_uuid() END, 1
        FROM generate_series(1, 10000) n CROSS JOIN customers c
    """)
    async with book.engine.connect() as session:
        connection = await session.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE jobs"))
    return book


@contextmanager
def explained(monkeypatch: pytest.MonkeyPatch, engine: AsyncEngine) -> Iterator[list[str]]:
    """Have PostgreSQL log nothing but tell the plan of every statement sent through SQLAlchemy."""
    plans: list[str] = []
    original = Session.execute

    async def execute(session: Session, statement: Any, values: Any = None, **more: Any) -> Any:
        compiled = statement.compile(engine.sync_engine, compile_kwargs={"render_postcompile": True})
        rows = await session.exec_driver_sql(
            "EXPLAIN " + str(compiled), tuple(compiled.construct_params(values or {})[n] for n in compiled.positiontup)
        )
        plans.append("\n".join(row[0] for row in rows))
        return await original(session, statement, values, **more)

    monkeypatch.setattr(Session, "execute", execute)
    yield plans
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("index", "call"),
    [
        ("ix_jobs_customer_id_id", lambda session, book: page(session, book.customer_id, before=None, limit=50)),
        (
            "ix_jobs_customer_id_reference",
            lambda session, book: page(session, book.customer_id, before=None, limit=50, reference="R-77"),
        ),
        (
            "ix_jobs_customer_id_unfinished",
            lambda session, book: page(
                session, book.customer_id, before=None, limit=50, states=[State.QUEUED, State.RUNNING]
            ),
        ),
        ("ix_jobs_runway", lambda session, _: release.runways(session)),
        ("ix_jobs_promise_due", lambda session, _: may_break(session, None, None, 500)),
        ("ix_jobs_promise_due", lambda session, _: may_break(session, FIRST, None, 500)),
        (
            "ix_jobs_promise_due",
            lambda session, _: due_behind(session, ["normal-small"], FIRST[0], LAST_ID, None, 500),
        ),
        (
            "ix_jobs_promise_due",
            lambda session, _: due_behind(session, ["normal-small"], FIRST[0], LAST_ID, (LATE, FIRST[1]), 500),
        ),
        ("pk_jobs", lambda session, _: newcomers(session, LATE_ID, LAST_ID, 500)),
        ("ix_jobs_finished", lambda session, _: count(session)),
        ("ix_jobs_troubled", lambda session, _: count(session)),
    ],
)
async def test_what_runs_all_the_time_finds_its_index_among_20_000_jobs(
    many: Book, monkeypatch: pytest.MonkeyPatch, index: str, call: Callable[[Session, Book], Any]
) -> None:
    with explained(monkeypatch, many.engine) as plans:
        async with many.engine.connect() as session:
            await call(session, many)
    (plan,) = plans
    assert index in plan, plan
    assert "Seq Scan on jobs" not in plan, plan


@pytest.mark.parametrize(
    ("index", "statement", "types"),
    [
        ("ix_jobs_lease", _LOST, "(timestamptz, uuid)"),
        ("pk_jobs", _RENEW, "(uuid, uuid[], int[], interval)"),
    ],
)
async def test_leases_are_looked_after_through_an_index(many: Book, index: str, statement: str, types: str) -> None:
    renewed, first = f"('{uuid4()}', ARRAY['{uuid4()}'::uuid], ARRAY[1], '10 s')", f"('2026-01-01', '{uuid4()}')"
    values = renewed if statement == _RENEW else first
    async with many.engine.connect() as session:
        await session.exec_driver_sql(f"PREPARE hot {types} AS {statement}")
        rows = (await session.exec_driver_sql(f"EXPLAIN EXECUTE hot {values}")).all()
    plan = "\n".join(row[0] for row in rows)
    assert index in plan, plan
    assert "Seq Scan on jobs" not in plan, plan


async def test_the_dispatcher_looks_through_indexes_alone_and_never_sorts_a_backlog(many: Book) -> None:
    async with many.engine.connect() as session:
        connection = await driver(session)
        await ledger.prepare(connection)
        queues = await ledger.queues(connection)
        plans = [
            await plan(connection, backlog._QUEUES, 1_000),
            await plan(connection, backlog._RIPE, 0.0),
            await plan(
                connection, backlog._LOOK, *map(list, zip(*queues, strict=True)), 3, True, [uuid4()] * len(queues)
            ),
            await plan(connection, release._RELEASE, [uuid4()], [1], ["normal"], ["small"], 0.0, 0),
        ]
    assert len(queues) == 2 * 12
    for found in plans:
        assert "Seq Scan on jobs" not in found, found
        assert "Bitmap" not in found, found
        assert " Join" not in found, found
    assert "Sort" not in plans[0] + plans[2], plans
    assert ["ix_jobs_backlog" in found for found in plans] == [True, False, True, False]
    assert "pk_jobs" in plans[3]


async def plan(connection: "asyncpg.Connection[Any]", statement: str, *values: object) -> str:
    """Tell how PostgreSQL carries out a statement of the dispatcher."""
    given = f"({', '.join(map(literal, values))})" if values else ""
    await connection.execute(f"PREPARE hot AS {statement}")
    rows = await connection.fetch(f"EXPLAIN EXECUTE hot {given}")
    await connection.execute("DEALLOCATE hot")
    return "\n".join(row[0] for row in rows)


def literal(value: object) -> str:
    """Write a value as SQL does."""
    return "'{" + ",".join(f'"{one}"' for one in value) + "}'" if isinstance(value, list) else repr(value)
