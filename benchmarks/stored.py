"""What the hot statements cost with very many finished jobs in the ledger, beside the same load in an empty one."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any
from uuid import UUID

import asyncpg
from benchmarks.report import Table
from benchmarks.stored_rows import live_load, store
from benchmarks.surroundings import servers
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from invoicing.diagnosis import store as diagnosis
from invoicing.invoices import service as invoices
from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, NewJob, Priority, Settlement, Size, State, Verdict
from invoicing.jobs.store import accept, artifacts, prune, read
from invoicing.kit.db import Session, driver, make_engine
from invoicing.kit.ids import new_id
from invoicing.kit.listen import plain_url
from invoicing.lanes import learned

ROWS = 100_000
FEW = 20_000
"""Finished jobs at which every statement that reads of them what it needs finds as many as it ever does."""
_TIMES = 7
_PAGES_MORE = 2.0
"""A tree of ten million entries is a level or two higher than one of a thousand: some pages more for each row found."""

_LEAST_PAGES = 10
"""Below this a page or two is no ratio."""

Statement = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Cost:
    """What a call costs: time in PostgreSQL, pages looked at, and which tables of jobs were read whole."""

    ms: float
    pages: int
    read_whole: frozenset[str]


@dataclass(frozen=True)
class Live:
    """Ids of the live load that calls are made with."""

    customer: UUID
    worker: UUID
    running: list[tuple[UUID, int]]
    released: list[tuple[UUID, int]]
    finished: UUID
    key: str


class _Recorder:
    """A connection of the driver that notes what is asked of it."""

    def __init__(self, connection: "asyncpg.Connection[Any]", noted: list[Statement]) -> None:
        self._connection, self._noted = connection, noted

    async def fetch(self, statement: str, *values: Any) -> Any:  # noqa: ANN401 - as the driver's
        self._noted.append((statement, values))
        return await self._connection.fetch(statement, *values)

    def transaction(self) -> Any:  # noqa: ANN401 - as the driver's
        return self._connection.transaction()


Call = Callable[[Session, Any, Live], Awaitable[Any]]


def run(rows: int = ROWS) -> Table:
    """Measure an empty ledger, one of the first days and one with so many finished jobs, with the same live load."""
    empty, _ = _in_a_ledger_of(0)
    few, _ = _in_a_ledger_of(FEW)
    many, took = _in_a_ledger_of(rows)
    table = Table(
        f"Hot statements with {rows:,} finished jobs (stored and measured in {took:.0f} s), beside {FEW:,} and none",
        ("what", "ms none", f"ms {FEW:,}", f"ms {rows:,}", "pages none", f"pages {FEW:,}", f"pages {rows:,}", "whole"),
    )
    for name, cost in many.items():
        three = (empty[name], few[name], cost)
        whole = ", ".join(sorted(cost.read_whole)) or "-"
        table.add(name, *(f"{one.ms:.2f}" for one in three), *(f"{one.pages:,}" for one in three), whole)
    more = {name: cost.pages / max(_LEAST_PAGES, few[name].pages) for name, cost in many.items()}
    worst = max(more, key=lambda name: more[name])
    table.bar(f"pages with {rows:,} / with {FEW:,}, the worst ({worst})", more[worst], at_most=_PAGES_MORE)
    whole_reads = sum(bool(cost.read_whole) for cost in many.values())
    table.bar("statements that read a table with finished jobs whole", float(whole_reads), at_most=0)
    table.bar(f"time with {rows:,} / with {FEW:,}, the median", _ratio(many, few), at_most=1.5)
    table.bar(f"time with {rows:,} / with none, the median", _ratio(many, empty), at_most=3)
    return table


def _ratio(costs: Mapping[str, Cost], beside: Mapping[str, Cost]) -> float:
    return median(cost.ms / beside[name].ms for name, cost in costs.items())


def _in_a_ledger_of(rows: int) -> tuple[dict[str, Cost], float]:
    """Measure in a ledger of its own; gives how long that took (seconds)."""
    began = time.perf_counter()
    with servers() as around:
        return asyncio.run(_measured(around.database_url, rows)), time.perf_counter() - began


async def _measured(url: str, rows: int) -> dict[str, Cost]:
    connection = await asyncpg.connect(plain_url(url))
    await live_load(connection)
    if rows:
        await store(connection, rows)
    await connection.execute("VACUUM ANALYZE")
    live = await _live(connection)
    engine = make_engine(url, pool_size=1)
    costs = {name: await _cost(engine, connection, call, live) for name, call in CALLS.items()}
    await engine.dispose()
    await connection.close()
    return costs


async def _live(connection: "asyncpg.Connection[Any]") -> Live:
    running = await connection.fetch("SELECT id, attempt, worker_id, customer_id FROM jobs WHERE state = 'running'")
    released = await connection.fetch("SELECT id, attempt + 1 AS next FROM jobs WHERE released_at IS NOT NULL")
    some = await connection.fetchrow("SELECT job_id, key FROM idempotency_keys ORDER BY created_at DESC LIMIT 1")
    return Live(
        customer=running[0]["customer_id"],
        worker=running[0]["worker_id"],
        running=[(row["id"], row["attempt"]) for row in running],
        released=[(row["id"], row["next"]) for row in released],
        finished=some["job_id"] if some else running[0]["id"],
        key=some["key"] if some else "none",
    )


async def _cost(engine: AsyncEngine, connection: "asyncpg.Connection[Any]", call: Call, live: Live) -> Cost:
    """Note what a call asks of PostgreSQL, undo it, and have every statement of it explained several times."""
    noted: list[Statement] = []
    async with engine.connect() as session:
        with _noting(engine, noted):
            await call(session, _Recorder(await driver(session), noted), live)
        await session.rollback()
    ms, pages, read_whole = 0.0, 0, set()
    for statement, values in noted:
        plans = [await _explained(connection, statement, values) for _ in range(_TIMES)]
        ms += median(plan["Execution Time"] for plan in plans)
        pages += _pages(plans[-1]["Plan"])
        read_whole |= set(_read_whole(plans[-1]["Plan"]))
    return Cost(ms, pages, frozenset(read_whole))


@contextmanager
def _noting(engine: AsyncEngine, noted: list[Statement]) -> Iterator[None]:
    """Note statements that go through SQLAlchemy, as they reach the driver."""

    def note(_connection: object, _cursor: object, statement: str, values: tuple[Any, ...], *_: object) -> None:
        noted.append((statement, values))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def _explained(
    connection: "asyncpg.Connection[Any]", statement: str, values: tuple[Any, ...]
) -> Mapping[str, Any]:
    """Execute a statement and undo it; gives its plan with times and pages."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        told = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *values)
    finally:
        await transaction.rollback()
    (plan,) = json.loads(told)
    found: Mapping[str, Any] = plan
    return found


def _pages(plan: Mapping[str, Any], *, top: bool = True) -> int:
    """Add up the pages looked at; what a statement changes beside what it gives is not part of its top."""
    own = int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])
    counted = own if top or plan["Node Type"] == "ModifyTable" else 0
    return counted + sum(_pages(below, top=False) for below in plan.get("Plans", ()))


_GROWS = frozenset({"jobs", "timeline", "attempts", "payload_parts", "idempotency_keys", "invoices"})


def _read_whole(plan: Mapping[str, Any]) -> Iterator[str]:
    if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in _GROWS:
        yield plan["Relation Name"]
    for below in plan.get("Plans", ()):
        yield from _read_whole(below)


async def _accept(_session: Session, connection: Any, live: Live) -> None:  # noqa: ANN401 - the recorder
    job_id = new_id()
    new = NewJob(
        id=job_id, customer_id=live.customer, key_id=live.customer, kind="drill", reference="R-1",
        priority=Priority.NORMAL, size=Size.SMALL, predicted_s=0.2, estimated_s=0.2, order_delay=timedelta(0),
        promise=timedelta(minutes=5), deadline=None, webhook=None, body=b"{}", idempotency_key=str(job_id),
        body_hash=b"",
    )  # fmt: skip
    await accept.insert_jobs(connection, [new])


async def _settle(_session: Session, connection: Any, live: Live) -> None:  # noqa: ANN401 - the recorder
    done = Verdict(State.SUCCEEDED, Event.SUCCEEDED, 0, result={})
    await ledger.settle(connection, [Settlement(job, attempt, done) for job, attempt in live.running[:4]])


async def _look(session: Session, connection: Any, _live: Live) -> None:  # noqa: ANN401 - the recorder
    async with ledger.by_index(await driver(session)):
        queues = await ledger.queues(connection)
        await ledger.look(connection, dict.fromkeys(queues[:100]), 5)


async def _page(session: Session, live: Live, **wanted: Any) -> None:  # noqa: ANN401 - as `page` takes them
    await read.page(session, live.customer, before=None, limit=50, **wanted)


async def _number(session: Session, live: Live) -> None:
    wanted = invoices.Numbering(
        live.running[0][0], live.customer, "vat:DE1", "2026", "invoice", "EUR", Decimal(1), None, {}
    )
    await invoices.number(session, wanted)


async def _learn(session: Session) -> None:
    now = datetime.now(UTC)
    await learned.finished(session, learned.Place(now - timedelta(minutes=1)), now, 1_000, 20, 200)


async def _due(session: Session, ended: prune.Ended) -> None:
    before = datetime.now(UTC) - timedelta(days=90)
    await prune.take_due(session, "drill", ended, before, None, 200, 2_000)


LEASE = timedelta(seconds=10)

CALLS: Mapping[str, Call] = {
    "accept a job": _accept,
    "a key used before": lambda _, c, live: accept.earlier_uses(c, [(live.customer, live.key)]),
    "claim 4": lambda _, c, live: ledger.claim(c, live.worker, live.released[:4], LEASE),
    "settle 4": _settle,
    "renew 50 leases": lambda _, c, live: ledger.renew(c, live.worker, live.running, LEASE),
    "rescue": lambda _, c, _live: ledger.rescue(c),
    "look at the backlog": _look,
    "tickets unclaimed": lambda s, _, _live: ledger.unclaimed(s, timedelta(0)),
    "runways": lambda s, _, _live: ledger.runways(s),
    "oldest of each lane": lambda s, _, _live: ledger.oldest(s),
    "rates of lanes": lambda s, _, _live: ledger.rates(s),
    "a glance at what happened": lambda s, _, _live: ledger.happened(s, 40),
    "read a job": lambda s, _, live: read.get(s, live.customer, live.finished),
    "its timeline": lambda s, _, live: read.entries(s, live.finished, after=0, limit=200),
    "its files": lambda s, _, live: artifacts.of_jobs(s, [live.finished]),
    "cancel a job": lambda s, _, live: ledger.cancel(s, live.customer, live.released[0][0]),
    "a customer's newest 50": lambda s, _, live: _page(s, live),
    "those with a reference": lambda s, _, live: _page(s, live, reference="R-50"),
    "what runs and is about to": lambda s, _, _live: diagnosis.under_way(s),
    "normal times": lambda s, _, _live: diagnosis.finished(s),
    "how long running jobs run": lambda s, _, _live: diagnosis.running(s),
    "learn from the last minute": lambda s, _, _live: _learn(s),
    "number an invoice": lambda s, _, live: _number(s, live),
    "find what retention removes": lambda s, _, _live: _due(s, prune.Ended.SUCCEEDED),
    "the same, without success": lambda s, _, _live: _due(s, prune.Ended.UNSUCCESSFUL),
}
