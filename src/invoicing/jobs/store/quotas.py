"""Statements about quotas: what they are, and letting jobs go for which there is a place.

A quota's row is locked by whoever counts. What is held is then taken in its order, and passed over where somebody else
changes it this moment, so that nobody waits for a job here.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import RowMapping

from invoicing.jobs.model.holds import EVERY_KIND, Period, Quota
from invoicing.jobs.store.channels import TOLD_JOBS, told_backlog
from invoicing.kit.db import Session
from invoicing.kit.ids import new_id

COLUMNS = "id, customer_id, kind, most, period, zone, begun_at, used, waiting"

_ALL = text(f"SELECT {COLUMNS}, now() AS now FROM quotas ORDER BY customer_id, kind")

_OF = text(f"""
SELECT {COLUMNS}, now() AS now FROM quotas
WHERE customer_id = :customer_id AND kind = ANY(CAST(:kinds AS text[])) ORDER BY kind = '{EVERY_KIND}' LIMIT 1
FOR NO KEY UPDATE
""")

_LOCK = text(f"SELECT {COLUMNS}, now() AS now FROM quotas WHERE id = :id FOR NO KEY UPDATE SKIP LOCKED")

_SET = text(f"""
INSERT INTO quotas (id, customer_id, kind, most, period, zone, begun_at)
VALUES (:id, :customer_id, :kind, :most, :period, :zone, now())
ON CONFLICT (customer_id, kind) DO UPDATE SET most = excluded.most, period = excluded.period, zone = excluded.zone,
    set_at = now()
RETURNING {COLUMNS}, now() AS now
""")

_COUNT = text("""
UPDATE quotas SET begun_at = :begun_at, ends_at = :ends_at, used = :used, waiting = :waiting WHERE id = :id
""")

_END = text("DELETE FROM quotas WHERE id = :id AND most IS NULL AND waiting = 0")

# Each waits from now on, for as long as it would have had at its submission.
_ADMIT = text(f"""
WITH first AS (
    SELECT job_id, since FROM holds WHERE quota_id = :id ORDER BY since, job_id LIMIT :most
), free AS (
    SELECT jobs.id, first.since FROM first JOIN jobs ON jobs.id = first.job_id
    WHERE jobs.held FOR NO KEY UPDATE OF jobs SKIP LOCKED
), changed AS (
    UPDATE jobs SET held = false, revision = revision + 1, due_at = now(), order_at = now() + (order_at - free.since)
    FROM free WHERE jobs.id = free.id
    RETURNING jobs.id, revision, state, attempt, customer_id, key_id, priority, size, needs
), ended AS (
    DELETE FROM holds USING changed WHERE job_id = changed.id
), placed AS (
    INSERT INTO quota_places (job_id, quota_id, begun_at) SELECT id, :id, :begun_at FROM changed
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt) SELECT id, revision, 'admitted', state, attempt
    FROM changed
), followers AS ({TOLD_JOBS}), dispatcher AS ({told_backlog("changed", "true")})
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
""")


def quota_of(row: "RowMapping | asyncpg.Record") -> Quota:
    """Build the value from its row."""
    named = {name: row[name] for name in ("id", "customer_id", "kind", "most", "zone", "begun_at", "used", "waiting")}
    return Quota(**named, period=Period(row["period"]))


async def all_quotas(session: Session) -> list[Quota]:
    """List the quotas as they are now, those that have ended and still let go among them."""
    return [quota_of(row).at(row["now"]) for row in (await session.execute(_ALL)).mappings()]


async def held_for(session: Session, customer_id: UUID, kind: str) -> Quota | None:
    """Find the quota that counts a customer's jobs of a kind, and let nobody else count before this transaction ends.

    One of the kind goes before that of all kinds.
    """
    return await _of(session, customer_id, [kind, EVERY_KIND])


async def held_for_itself(session: Session, customer_id: UUID, kind: str) -> Quota | None:
    """Find the quota of a customer for exactly a kind, or for all, and lock it."""
    return await _of(session, customer_id, [kind])


async def _of(session: Session, customer_id: UUID, kinds: Sequence[str]) -> Quota | None:
    row = (await session.execute(_OF, {"customer_id": customer_id, "kinds": kinds})).mappings().one_or_none()
    return None if row is None else quota_of(row).at(row["now"])


async def locked(session: Session, quota_id: UUID) -> Quota | None:
    """Read a quota as it is now, and let nobody else count; None where somebody does, or it is gone."""
    row = (await session.execute(_LOCK, {"id": quota_id})).mappings().one_or_none()
    return None if row is None else quota_of(row).at(row["now"])


async def put(session: Session, customer_id: UUID, kind: str, most: int | None, period: Period, zone: str) -> Quota:
    """Write a quota, or change it, whatever it has counted so far; its row is locked."""
    values = {"id": new_id(), "customer_id": customer_id, "kind": kind, "most": most, "period": period, "zone": zone}
    row = (await session.execute(_SET, values)).mappings().one()
    return quota_of(row).at(row["now"])


async def count(session: Session, quota: Quota) -> None:
    """Write what a locked quota has counted."""
    period = {"begun_at": quota.begun_at, "ends_at": quota.resets_at}
    await session.execute(_COUNT, {"id": quota.id, **period, "used": quota.used, "waiting": quota.waiting})


async def end(session: Session, quota_id: UUID) -> None:
    """Remove a quota that has ended, once nobody waits for it."""
    await session.execute(_END, {"id": quota_id})


async def admit(session: Session, quota: Quota, most: int) -> list[UUID]:
    """Let the first jobs go that a locked quota holds; gives those that went."""
    asked = {"id": quota.id, "most": most, "begun_at": quota.begun_at}
    return [row.id for row in await session.execute(_ADMIT, asked)]
