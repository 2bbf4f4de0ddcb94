"""A ledger as it is after years: finished jobs in bulk, with all that is kept of them, beside the same live load."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from benchmarks.backlog import add_customers, add_jobs, add_workers

CUSTOMERS = 100
WAITING = 1_000
UNDER_WAY = 50
_AT_ONCE = 100_000
_TOLD_BY_TRIGGERS = ("jobs", "timeline")

# Ids are ordered by time as UUIDv7 are; ends are spread over 80 days, of which idempotency keys are there for 30. Seven
# in ten are invoices; of a hundred, two failed for good, two were cancelled and three succeeded after a failure.
_JOBS = """
INSERT INTO jobs (id, customer_id, key_id, kind, reference, priority, size, predicted_s, estimated_s, state, revision,
    attempt, failures, due_at, order_at, submitted_at, started_at, finished_at, promise_due, result)
SELECT id, customer, customer, kind, CASE WHEN n % 2 = 0 THEN 'R-' || n END,
    (ARRAY['normal', 'normal', 'bulk', 'urgent'])[1 + n % 4], (ARRAY['small', 'small', 'small', 'medium'])[1 + n % 4],
    0.01 * power(10, n % 30 / 10.0), 0.01 * power(10, n % 30 / 10.0), state, 3, 1,
    CASE WHEN state = 'succeeded' AND n % 100 > 96 THEN 1 ELSE 0 END, at, at, at, at, at + interval '2 s',
    at + interval '5 min', CASE WHEN kind = 'invoice.issue' AND state = 'succeeded' THEN
        jsonb_build_object('number', '2026-' || n, 'payable', '351.05', 'currency', 'EUR') END
FROM stored($1, $2, $3) AS s
"""

_TIMELINE = """
INSERT INTO timeline (job_id, seq, at, event, state, attempt)
SELECT id, seq, at, (ARRAY['accepted', 'started', s.state])[seq], (ARRAY['queued', 'running', s.state])[seq],
    (seq > 1)::int
FROM stored($1, $2, $3) AS s, generate_series(1, 3) AS seq
"""

_ATTEMPTS = """
INSERT INTO attempts (job_id, number, worker_id, started_at, ended_at, outcome)
SELECT id, 1, customer, at, at + interval '2 s', state FROM stored($1, $2, $3)
"""

_PAYLOADS = """
INSERT INTO payload_parts (job_id, part, body) SELECT id, 0, repeat('x', 300)::bytea FROM stored($1, $2, $3)
"""

_KEYS = """
INSERT INTO idempotency_keys (customer_id, key, job_id, body_hash, created_at)
SELECT customer, 'key-' || n, id, '\\x00', at FROM stored($1, $2, $3) WHERE at > now() - interval '30 days'
"""

_INVOICES = """
INSERT INTO invoices (job_id, customer_id, seller, series, sequence, number, type, currency, payable, issued_at, rules)
SELECT id, customer, 'vat:DE1', '2026', n, '2026-' || n, 'invoice', 'EUR', 351.05, at, '{}' FROM stored($1, $2, $3)
WHERE kind = 'invoice.issue' AND state = 'succeeded'
"""

_STORED = """
CREATE FUNCTION stored(first bigint, last bigint, total bigint)
RETURNS TABLE (n bigint, id uuid, customer uuid, at timestamptz, kind text, state text) LANGUAGE sql STABLE AS $$
    SELECT n, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(h, 1, 3) || '8'
               || substr(h, 4, 15))::uuid, customers[1 + n % cardinality(customers)], at,
        CASE WHEN n % 10 < 7 THEN 'invoice.issue' ELSE 'drill' END,
        CASE WHEN n % 100 < 2 THEN 'dead' WHEN n % 100 < 4 THEN 'cancelled' ELSE 'succeeded' END
    FROM (SELECT array_agg(id ORDER BY id) AS customers FROM customers WHERE slug LIKE 'c-%') AS c,
        generate_series(first, last) AS n,
        LATERAL (
            SELECT date_trunc('day', now()) - interval '80 days' * (1 - n::float8 / total) AS at, md5(n::text) AS h
        ) AS t
$$
"""

_RUN = """
WITH started AS (
    UPDATE jobs SET state = 'running', attempt = 1, revision = 2, lease_until = now() + interval '1 h', worker_id = $2,
        started_at = now()
    WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' ORDER BY order_at LIMIT $1) RETURNING id
), begun AS (INSERT INTO attempts (job_id, number, worker_id) SELECT id, 1, $2 FROM started)
INSERT INTO timeline (job_id, seq, event, state, attempt) SELECT id, 2, 'started', 'running', 1 FROM started
"""

_RELEASE = """
UPDATE jobs SET released_at = clock_timestamp()
WHERE id IN (SELECT id FROM jobs WHERE state = 'queued' ORDER BY order_at LIMIT $1)
"""


async def live_load(connection: "asyncpg.Connection[Any]") -> None:
    """Let jobs wait, run and be about to; what was stored before stays."""
    customers = await add_customers(connection, CUSTOMERS)
    (worker, *_) = await add_workers(connection, 4, 16)
    await add_jobs(connection, WAITING, customers, 0.2)
    await connection.execute(_RUN, UNDER_WAY, worker)
    await connection.execute(_RELEASE, UNDER_WAY)
    await connection.execute("""
        INSERT INTO payload_parts (job_id, part, body) SELECT id, 0, '{}' FROM jobs WHERE finished_at IS NULL
        ON CONFLICT DO NOTHING
    """)


_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'jobs' AND indexname <> 'pk_jobs'"
_ARROWS = """
SELECT conrelid::regclass::text AS "table", conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE contype = 'f' AND confrelid = 'jobs'::regclass
"""


@asynccontextmanager
async def _in_bulk(connection: "asyncpg.Connection[Any]") -> AsyncIterator[None]:
    """Take off what makes bulk slow, and put it on again: indexes, foreign keys, triggers, waiting for the disk."""
    indexes, arrows = await connection.fetch(_INDEXES), await connection.fetch(_ARROWS)
    await connection.execute("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    for arrow in arrows:
        await connection.execute(f"ALTER TABLE {arrow['table']} DROP CONSTRAINT {arrow['conname']}")
    for table in _TOLD_BY_TRIGGERS:  # of jobs that came finished there is nothing to count and nobody to tell
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for table in _TOLD_BY_TRIGGERS:
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    for index in indexes:
        await connection.execute(index["indexdef"])
    for arrow in arrows:
        table, name = arrow["table"], arrow["conname"]
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {arrow['definition']}")
    await connection.execute("RESET synchronous_commit; RESET maintenance_work_mem")


async def store(connection: "asyncpg.Connection[Any]", rows: int) -> None:
    """Store so many finished jobs, a hundred thousand in a transaction."""
    await connection.execute(_STORED)
    async with _in_bulk(connection):
        for first in range(1, rows + 1, _AT_ONCE):
            asked = first, min(first + _AT_ONCE - 1, rows), rows
            async with connection.transaction():
                for statement in (_JOBS, _TIMELINE, _ATTEMPTS, _PAYLOADS, _KEYS, _INVOICES):
                    await connection.execute(statement, *asked)
    await connection.execute("""
        INSERT INTO number_series (customer_id, seller, series, last)
        SELECT customer_id, seller, series, max(sequence) FROM invoices GROUP BY customer_id, seller, series
    """)
