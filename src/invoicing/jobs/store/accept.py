"""Making requests durable: many at once, in one statement and one commit."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text

from invoicing.jobs.model import NewJob
from invoicing.jobs.store.channels import told_backlog
from invoicing.kit.db import Session

_INSERT = f"""
WITH asked AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::interval[],
        $9::interval[], $10::timestamptz[], $11::text[], $12::bytea[], $13::text[], $14::bytea[], $15::uuid[],
        $16::float8[], $17::timestamptz[], $18::numeric[], $19::text[], $20::text[]
    ) AS a(id, customer_id, kind, reference, priority, size, predicted_s, order_delay, promise, deadline, webhook,
           body, key, body_hash, key_id, estimated_s, promise_due, amount, currency, needs)
), fresh AS (
    INSERT INTO idempotency_keys (customer_id, key, job_id, body_hash)
    SELECT customer_id, key, id, body_hash FROM asked ORDER BY customer_id, key
    ON CONFLICT (customer_id, key) DO NOTHING
    RETURNING job_id
), made AS (
    INSERT INTO jobs (id, customer_id, kind, reference, priority, size, predicted_s, state, order_at, deadline,
        promise_due, webhook, key_id, estimated_s, amount, currency, needs)
    SELECT id, customer_id, kind, reference, priority, size, predicted_s, 'queued',
           now() + order_delay, deadline, coalesce(asked.promise_due, now() + promise), webhook, key_id, estimated_s,
           amount, currency, needs
    FROM asked JOIN fresh ON fresh.job_id = asked.id
    RETURNING id, submitted_at, customer_id, key_id, priority, size, needs
), stored AS (
    INSERT INTO payload_parts (job_id, part, body)
    SELECT id, 0, body FROM asked JOIN fresh ON fresh.job_id = asked.id
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, 1, 'accepted', 'queued', 0, jsonb_build_object('key_id', key_id, 'lane', priority || '-' || size)
    FROM asked JOIN fresh ON fresh.job_id = asked.id
), woken AS (
    {told_backlog("made", "true", "+")}
)
SELECT id, submitted_at FROM made LEFT JOIN woken ON true
"""

_EARLIER = """
SELECT k.customer_id, k.key, k.job_id, k.body_hash FROM idempotency_keys k
JOIN unnest($1::uuid[], $2::text[]) AS a(customer_id, key) ON k.customer_id = a.customer_id AND k.key = a.key
"""


@dataclass(frozen=True)
class Earlier:
    """What an idempotency key was used for before."""

    job_id: UUID
    body_hash: bytes


async def insert_jobs(connection: "asyncpg.Connection[Any]", new: Sequence[NewJob]) -> dict[UUID, datetime]:
    """Insert jobs whose idempotency key is not used yet; gives the time of submission of each one inserted.

    One statement, so one commit: job, idempotency record, payload and first timeline row exist together or not at all.
    Keys are inserted in order, so that two such statements cannot deadlock.
    """
    rows = await connection.fetch(
        _INSERT,
        [job.id for job in new],
        [job.customer_id for job in new],
        [job.kind for job in new],
        [job.reference for job in new],
        [job.priority for job in new],
        [job.size for job in new],
        [job.predicted_s for job in new],
        [job.order_delay for job in new],
        [job.promise for job in new],
        [job.deadline for job in new],
        [job.webhook for job in new],
        [job.body for job in new],
        [job.idempotency_key for job in new],
        [job.body_hash for job in new],
        [job.key_id for job in new],
        [job.estimated_s for job in new],
        [job.promise_due for job in new],
        [None if job.worth is None else job.worth.amount for job in new],
        [None if job.worth is None else job.worth.currency for job in new],
        [job.needs for job in new],
    )
    return {row["id"]: row["submitted_at"] for row in rows}


async def earlier_uses(
    connection: "asyncpg.Connection[Any]", keys: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], Earlier]:
    """Look up what idempotency keys (customer, key) were used for."""
    rows = await connection.fetch(_EARLIER, [customer for customer, _ in keys], [key for _, key in keys])
    return {(row["customer_id"], row["key"]): Earlier(row["job_id"], row["body_hash"]) for row in rows}


async def parts_may_come_first(session: Session) -> None:
    """Let parts be written before their job; begins the transaction that the driver's statements then belong to."""
    await session.execute(text("SET CONSTRAINTS fk_payload_parts_job_id_jobs DEFERRED"))


async def insert_parts(
    connection: "asyncpg.Connection[Any]", job_id: UUID, first: int, parts: Sequence[tuple[int, bytes]]
) -> None:
    """Insert further parts of a large payload, numbered from `first`; each is (number of items, bytes)."""
    await connection.executemany(
        "INSERT INTO payload_parts (job_id, part, item_count, body) VALUES ($1, $2, $3, $4)",
        [(job_id, first + offset, items, body) for offset, (items, body) in enumerate(parts)],
    )
