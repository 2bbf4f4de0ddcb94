"""A ledger with many customers and jobs in it, and a fleet that is nothing but rows."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg

from invoicing.jobs import service as ledger
from invoicing.jobs.model import Event, Settlement, State, Verdict
from invoicing.kit.ids import new_id
from invoicing.lanes.model import LANES
from invoicing.transport import Ticket

LEASE = timedelta(minutes=10)
_DONE = Verdict(State.SUCCEEDED, Event.SUCCEEDED, 0, result={})

# ids as the service makes them (UUIDv7): in the order of submission
_JOBS = """
INSERT INTO jobs (id, customer_id, key_id, kind, priority, size, predicted_s, state, order_at, promise_due)
SELECT CAST(lpad(to_hex((1000 * extract(epoch FROM now()))::bigint - $1 + n), 12, '0')
    || '7' || substr(md5(n::text), 14, 3) || '8' || substr(md5(n::text), 18) AS uuid),
    customers[1 + n % cardinality(customers)], customers[1 + n % cardinality(customers)], 'drill',
    (ARRAY['normal', 'normal', 'bulk', 'urgent'])[1 + n / cardinality(customers) % 4], 'small', $3, 'queued',
    now() + n * interval '1 ms', now() + $4::interval
FROM generate_series(1, $1) AS n, (SELECT $2::uuid[] AS customers) AS c
"""

_TOLD = "SELECT pg_notify('invoicing_backlog', '')"


async def add_customers(connection: "asyncpg.Connection[Any]", count: int) -> list[uuid.UUID]:
    """Add customers."""
    ids = [new_id() for _ in range(count)]
    await connection.executemany(
        "INSERT INTO customers (id, slug, name) VALUES ($1, $2, $2)", [(one, f"c-{one}") for one in ids]
    )
    return ids


async def add_jobs(
    connection: "asyncpg.Connection[Any]",
    count: int,
    customers: Sequence[uuid.UUID],
    predicted_s: float,
    promise: timedelta = timedelta(minutes=5),
) -> None:
    """Let small jobs wait: they go round the customers, and over all priorities."""
    await connection.execute(_JOBS, count, customers, predicted_s, promise)
    await connection.execute(_TOLD)


async def add_workers(connection: "asyncpg.Connection[Any]", count: int, slots: int) -> list[uuid.UUID]:
    """Register workers that serve every lane."""
    ids = [new_id() for _ in range(count)]
    lanes = [lane.name for lane in LANES]
    await connection.executemany(
        "INSERT INTO workers (id, host, pid, build, slots, lanes, kinds) VALUES ($1, $2, 1, '-', $3, $4, '{drill}')",
        [(one, f"host-{place // 8}", slots, lanes) for place, one in enumerate(ids)],
    )
    return ids


async def beat(connection: "asyncpg.Connection[Any]") -> None:
    """Give every worker's proof of life."""
    await connection.execute("UPDATE workers SET beat_at = now(), loop_beat_at = now()")


async def start(
    connection: "asyncpg.Connection[Any]", tickets: Sequence[Ticket], workers: Sequence[uuid.UUID]
) -> list[Ticket]:
    """Claim tickets as workers do, each worker its own; gives what they got."""
    got: list[Ticket] = []
    share = -(-len(tickets) // len(workers))
    for place, worker in enumerate(workers):
        own = tickets[place * share : (place + 1) * share]
        if own:
            got += [(claim.id, claim.attempt) for claim in await ledger.claim(connection, worker, own, LEASE)]
    return got


async def end(connection: "asyncpg.Connection[Any]", attempts: Sequence[Ticket]) -> None:
    """Settle attempts that succeeded."""
    await ledger.settle(connection, [Settlement(job, attempt, _DONE) for job, attempt in attempts])
