"""Statements about reviews: the rules, the reviews that are open beside the pauses, and how one ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row

from invoicing.jobs.hold_tables import reviews
from invoicing.jobs.model import Job, JobError
from invoicing.jobs.model.holds import ReviewRule, RuleBook, Seat
from invoicing.jobs.store.acts import Signed
from invoicing.jobs.store.channels import TOLD_JOBS, told_backlog
from invoicing.kit.db import Session

_c = reviews.c

Place = tuple[datetime, UUID]
"""Where in the order of holds a page ended: when it is due, and its job."""

_FIRST: Place = (datetime(2000, 1, 1, tzinfo=UTC), UUID(int=0))
"""Before every hold."""

_DONE = f"followers AS ({TOLD_JOBS})"

# It waits from now on, for as long as it would have had at its submission; where its quota is used up it is held on.
_RELEASE = text(f"""
WITH changed AS (
    UPDATE jobs SET state = 'queued', revision = revision + 1, held = :held, due_at = now(),
        order_at = now() + (order_at - submitted_at)
    WHERE id = :id AND state = 'in_review'
    RETURNING id, revision, state, attempt, customer_id, key_id, priority, size, needs, held
), over AS (
    DELETE FROM holds USING changed WHERE job_id = changed.id AND NOT changed.held
), kept AS (
    UPDATE holds SET since = now(), due = NULL, owner = NULL, measure = NULL, threshold = NULL, value = NULL,
        quota_id = :quota_id
    FROM changed WHERE job_id = changed.id AND changed.held
), placed AS (
    INSERT INTO quota_places (job_id, quota_id, begun_at)
    SELECT id, :quota_id, :begun_at FROM changed WHERE NOT held AND CAST(:quota_id AS uuid) IS NOT NULL
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'released', state, attempt, CAST(:data AS jsonb) FROM changed
), {_DONE}, dispatcher AS ({told_backlog("changed", "NOT held")})
SELECT id FROM changed LEFT JOIN followers ON true LEFT JOIN dispatcher ON true
""")

_REJECT = text(f"""
WITH changed AS (
    UPDATE jobs SET state = 'dead', revision = revision + 1, finished_at = now(), error = CAST(:error AS jsonb)
    WHERE id = :id AND state = 'in_review'
    RETURNING id, revision, state, attempt
), over AS (
    DELETE FROM holds USING changed WHERE job_id = changed.id
), told AS (
    INSERT INTO timeline (job_id, seq, event, state, attempt, data)
    SELECT id, revision, 'dead', state, attempt, CAST(:data AS jsonb) FROM changed
), {_DONE}
SELECT id FROM changed LEFT JOIN followers ON true
""")

_OPEN = text("""
SELECT h.job_id, h.since, h.due, h.owner, h.measure, h.threshold, h.value, h.reason, h.message, h.by,
    h.owner IS NOT NULL AND h.due < now() AS overdue, c.slug AS customer, j.kind, j.reference, j.promise_due
FROM holds h JOIN jobs j ON j.id = h.job_id JOIN customers c ON c.id = j.customer_id
WHERE h.quota_id IS NULL AND (h.due, h.job_id) > (:due, :job_id) ORDER BY h.due, h.job_id LIMIT :most
""")


@dataclass(frozen=True)
class OpenHold:
    """A job that somebody has to decide about (it has an owner), or that our staff paused; for our staff."""

    job_id: UUID
    since: datetime
    due: datetime
    owner: str | None
    measure: str | None
    threshold: Decimal | None
    value: Decimal | None
    reason: str | None
    message: str | None
    by: str | None
    overdue: bool
    customer: str
    kind: str
    reference: str | None
    promise_due: datetime


async def release(session: Session, job: Job, signed: Signed, seat: Seat | None) -> bool:
    """Let a job go that is in review, to its lane or to where it waits for a place; False when it is not in review."""
    quota = seat.quota if seat else None
    held = seat is not None and seat.held
    values = {
        "id": job.id,
        "held": held,
        "quota_id": quota and quota.id,
        "begun_at": quota and quota.begun_at,
        "data": _signed(signed, {"quota": quota.as_json()} if quota and held else {}),
    }
    return (await session.execute(_RELEASE, values)).one_or_none() is not None


async def reject(session: Session, job: Job, signed: Signed, error: JobError) -> bool:
    """End a job that is in review, with what its customer is told; False when it is not in review."""
    values = {"id": job.id, "error": to_json(error.as_json()).decode(), "data": _signed(signed, {"why": error.code})}
    return (await session.execute(_REJECT, values)).one_or_none() is not None


def _signed(signed: Signed, more: Mapping[str, Any]) -> str:
    staff = {"actor": signed.actor, "reason": signed.reason}
    return to_json({"by": signed.role, "staff": staff, **more}).decode()


async def open_holds(session: Session, after: Place | None, most: int) -> list[OpenHold]:
    """List the reviews that are open and the pauses, those over first first, from behind a place on; None: all."""
    due, job_id = after or _FIRST
    rows = await session.execute(_OPEN, {"due": due, "job_id": job_id, "most": most})
    return [OpenHold(**row) for row in rows.mappings()]


async def all_rules(session: Session) -> RuleBook:
    """Read every rule."""
    found: dict[tuple[UUID, str], dict[str, ReviewRule]] = {}
    for row in await session.execute(select(reviews).order_by(_c.customer_id, _c.kind, _c.measure)):
        found.setdefault((row.customer_id, row.kind), {})[row.measure] = _rule(row)
    return found


async def rules_of(session: Session, customer_id: UUID, kind: str) -> dict[str, ReviewRule]:
    """Read the rules about a kind that are set for a customer itself, and lock them until this transaction ends."""
    query = select(reviews).where(_c.customer_id == customer_id, _c.kind == kind).with_for_update()
    return {row.measure: _rule(row) for row in await session.execute(query.order_by(_c.measure))}


async def put(session: Session, rule: ReviewRule) -> None:
    """Write a rule, in the place of what there was about the same."""
    key = {"customer_id": rule.customer_id, "kind": rule.kind, "measure": rule.measure}
    values = {"threshold": rule.threshold, "owner": rule.owner, "seconds": rule.within.total_seconds()}
    written = insert(reviews).values(**key, **values)
    await session.execute(
        written.on_conflict_do_update(index_elements=list(key), set_={**values, "set_at": func.now()})
    )


async def take_away(session: Session, customer_id: UUID, kind: str, measure: str) -> None:
    """End a rule; reviews that are open stay."""
    await session.execute(delete(reviews).where(_c.customer_id == customer_id, _c.kind == kind, _c.measure == measure))


def _rule(row: Row[tuple[object, ...]]) -> ReviewRule:
    return ReviewRule(row.customer_id, row.kind, row.measure, row.threshold, row.owner, timedelta(seconds=row.seconds))
