"""Making requests durable that something may hold: a review by a person, or a quota of their customer.

A quota's row is locked first, so that who comes at the same moment is counted one after the other, and each key once.
Whoever changes a job and then a quota never waits here: jobs are only added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from invoicing.jobs.model import NewJob
from invoicing.jobs.model.holds import Quota, Review, Seat, seats
from invoicing.jobs.store.accept import earlier_uses
from invoicing.jobs.store.channels import told_backlog
from invoicing.jobs.store.quotas import COLUMNS, quota_of

_LOCK = f"SELECT {COLUMNS}, now() AS now FROM quotas WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"

_INSERT = f"""
WITH asked AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[], $8::interval[],
        $9::interval[], $10::timestamptz[], $11::text[], $12::bytea[], $13::text[], $14::bytea[], $15::uuid[],
        $16::float8[], $17::timestamptz[], $18::bool[], $19::uuid[], $20::timestamptz[], $21::interval[], $22::text[],
        $23::text[], $24::numeric[], $25::numeric[], $26::text[], $27::timestamptz[], $28::numeric[], $29::text[],
        $30::text[]
    ) AS a(id, customer_id, kind, reference, priority, size, predicted_s, order_delay,
           promise, deadline, webhook, body, key, body_hash, key_id, estimated_s, promise_due,
           held, quota_id, begun_at, within, owner, measure, threshold, value, told, ends_at, amount, currency, needs)
), fresh AS (
    INSERT INTO idempotency_keys (customer_id, key, job_id, body_hash)
    SELECT customer_id, key, id, body_hash FROM asked ORDER BY customer_id, key
    ON CONFLICT (customer_id, key) DO NOTHING
    RETURNING job_id
), new AS MATERIALIZED (
    SELECT asked.*, CASE WHEN within IS NULL THEN 'queued' ELSE 'in_review' END AS state
    FROM asked JOIN fresh ON fresh.job_id = asked.id
), made AS (
    INSERT INTO jobs (id, customer_id, kind, reference, priority, size, predicted_s, state, order_at, deadline,
        promise_due, webhook, key_id, estimated_s, held, amount, currency, needs)
    SELECT id, customer_id, kind, reference, priority, size, predicted_s, state,
           now() + order_delay, deadline, coalesce(promise_due, now() + promise), webhook, key_id, estimated_s, held,
           amount, currency, needs
    FROM new
    RETURNING id, submitted_at, customer_id, key_id, priority, size, needs, state, held
), stored AS (
    INSERT INTO payload_parts (job_id, part, body) SELECT id, 0, body FROM new
), kept AS (
    INSERT INTO holds (job_id, due, owner, measure, threshold, value, quota_id)
    SELECT id, now() + within, owner, measure, threshold, value, CASE WHEN held THEN quota_id END FROM new
    WHERE held OR state = 'in_review'
), placed AS (
    INSERT INTO quota_places (job_id, quota_id, begun_at)
    SELECT id, quota_id, begun_at FROM new WHERE quota_id IS NOT NULL AND NOT held
), counted AS (
    UPDATE quotas SET used = CASE WHEN quotas.begun_at = n.begun_at THEN used ELSE 0 END + n.placed,
        begun_at = n.begun_at, ends_at = n.ends_at, waiting = waiting + n.held
    FROM (
        SELECT quota_id, begun_at, ends_at,
            count(*) FILTER (WHERE NOT held) AS placed, count(*) FILTER (WHERE held) AS held
        FROM new WHERE quota_id IS NOT NULL GROUP BY quota_id, begun_at, ends_at
    ) AS n WHERE quotas.id = n.quota_id
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, 1, 'accepted', state, 0, jsonb_build_object('key_id', key_id, 'lane', priority || '-' || size)
        || CASE WHEN within IS NULL THEN told::jsonb
                ELSE jsonb_build_object('review', told::jsonb || jsonb_build_object('due', now() + within)) END
    FROM new
), woken AS (
    {told_backlog("made", "state = 'queued' AND NOT held", "+")}
)
SELECT id, submitted_at, held OR state = 'in_review' AS held FROM made LEFT JOIN woken ON true
"""


@dataclass(frozen=True)
class Made:
    """A job that was inserted, and whether something holds it."""

    submitted_at: datetime
    held: bool


@dataclass(frozen=True)
class _Row:
    """A job on its way in, with what was decided about it."""

    job: NewJob
    seat: Seat | None = None

    @property
    def review(self) -> Review | None:
        return self.job.terms.review

    @property
    def told(self) -> Mapping[str, Any]:
        """What the first row of its timeline says of it: the review, to which the ledger adds its due, or the quota."""
        if self.review is not None:
            return self.review.as_json()
        return {"quota": self.seat.quota.as_json()} if self.seat is not None and self.seat.held else {}


async def insert_held(connection: "asyncpg.Connection[Any]", jobs: Sequence[NewJob]) -> dict[UUID, Made]:
    """Insert jobs whose idempotency key is not used yet, in a transaction that the caller has begun."""
    rows = await _seated(connection, jobs)
    values = await connection.fetch(
        _INSERT,
        [row.job.id for row in rows],
        [row.job.customer_id for row in rows],
        [row.job.kind for row in rows],
        [row.job.reference for row in rows],
        [row.job.priority for row in rows],
        [row.job.size for row in rows],
        [row.job.predicted_s for row in rows],
        [row.job.order_delay for row in rows],
        [row.job.promise for row in rows],
        [row.job.deadline for row in rows],
        [row.job.webhook for row in rows],
        [row.job.body for row in rows],
        [row.job.idempotency_key for row in rows],
        [row.job.body_hash for row in rows],
        [row.job.key_id for row in rows],
        [row.job.estimated_s for row in rows],
        [row.job.due_from(row.seat.turn_at if row.seat else None) for row in rows],
        [row.seat is not None and row.seat.held for row in rows],
        [row.seat and row.seat.quota.id for row in rows],
        [row.seat and row.seat.quota.begun_at for row in rows],
        [row.review and row.review.rule.within for row in rows],
        [row.review and row.review.rule.owner for row in rows],
        [row.review and row.review.rule.measure for row in rows],
        [row.review and row.review.rule.threshold for row in rows],
        [row.review and row.review.value for row in rows],
        [to_json(row.told).decode() for row in rows],
        [row.seat and row.seat.quota.resets_at for row in rows],
        [row.job.worth and row.job.worth.amount for row in rows],
        [row.job.worth and row.job.worth.currency for row in rows],
        [row.job.needs for row in rows],
    )
    return {row["id"]: Made(row["submitted_at"], row["held"]) for row in values}


async def _seated(connection: "asyncpg.Connection[Any]", jobs: Sequence[NewJob]) -> list[_Row]:
    """Give each job that has a quota a place in it, or a turn; of what was sent twice, or before, only the first."""
    first = list({(job.customer_id, job.idempotency_key): job for job in reversed(jobs)}.values())[::-1]
    counted = [job.terms.quota_id for job in first if job.terms.quota_id is not None]
    if not counted:
        return [_Row(job) for job in first]
    found = await connection.fetch(_LOCK, list(set(counted)))
    earlier = await earlier_uses(connection, [(job.customer_id, job.idempotency_key) for job in first])
    fresh = [job for job in first if (job.customer_id, job.idempotency_key) not in earlier]
    given: dict[UUID, Seat] = {}
    for row in found:
        quota: Quota = quota_of(row).at(row["now"])
        own = [job.id for job in fresh if job.terms.quota_id == quota.id]
        given.update(zip(own, seats(quota, len(own)), strict=True) if quota.most is not None else ())
    return [_Row(job, given.get(job.id)) for job in fresh]
