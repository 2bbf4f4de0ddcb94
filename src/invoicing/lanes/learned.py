"""What was learned, in the ledger; and what is learned from, read from it without writing it.

What finished is read by index from where the last reading ended, so that the cost grows with what finished, and with
nothing that is stored.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import text

from invoicing.jobs.model import State
from invoicing.kit.db import Session
from invoicing.lanes.model import SIZES, Cutoffs
from invoicing.lanes.model.cutoffs import Load
from invoicing.lanes.model.sizes import NOBODY, NOTHING, CustomerModel, KindModel, Seen

_NIL = UUID(int=0)
WHOLE_KIND = _NIL
"""Stands in the place of a customer for what was learned of everybody."""

_LAG = timedelta(seconds=1)
"""Jobs are learned from after this long, beside what is said of `_HORIZON`."""

_LONGEST_TRANSACTION = timedelta(seconds=60)
"""Whoever settles commits sooner: a transaction that waits is ended after that time, a lock is waited for 10 s."""

_ONE_AT_A_TIME = text("SELECT pg_try_advisory_xact_lock(hashtext('invoicing.learning'))")

# A job's time of finishing is the begin of the transaction that settled it, which may still be open while later ones
# are committed. So nothing is read from behind the begin of the oldest transaction, but for those too old to settle.
_HORIZON = text("""
SELECT least(now() - CAST(:lag AS interval), min(xact_start)) AS horizon, now() AS now FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND xact_start > now() - CAST(:longest AS interval)
""")

_MEMORY = text("SELECT name, state FROM learning WHERE name IN ('sizes', 'cutoffs')")

_WRITE_MEMORY = text("""
INSERT INTO learning (name, state) VALUES (:name, CAST(:state AS jsonb))
ON CONFLICT (name) DO UPDATE SET state = excluded.state, updated_at = now()
""")

# Of many jobs of one customer and kind the last few say all there is to say; the newest of each come first. The work is
# the time of all attempts; a job that was lost or failed in between has none: what the silence took was not work.
_FINISHED = text("""
WITH ended AS (
    SELECT id, finished_at, kind, customer_id, coalesce(estimated_s, predicted_s) AS estimated_s FROM jobs
    WHERE state = 'succeeded' AND (finished_at, id) > (:finished_at, :id) AND finished_at < :horizon
    ORDER BY finished_at, id LIMIT :most
), ranked AS (
    SELECT *, row_number() OVER newest AS place,
        count(*) OVER (PARTITION BY kind, customer_id) AS alike, count(*) OVER () AS passed,
        last_value(finished_at) OVER everything AS last_at, last_value(id) OVER everything AS last_id
    FROM ended WINDOW newest AS (PARTITION BY kind, customer_id ORDER BY finished_at DESC, id DESC),
        everything AS (ORDER BY finished_at, id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
), chosen AS (
    SELECT * FROM ranked WHERE place <= :of_each ORDER BY place, id LIMIT :learned
)
SELECT c.*, w.seconds AS worked_s FROM chosen c LEFT JOIN LATERAL (
    SELECT sum(extract(epoch FROM ended_at - started_at))::float8 AS seconds FROM attempts
    WHERE job_id = c.id HAVING bool_and(outcome IN ('succeeded', 'interrupted'))
) w ON true
ORDER BY c.finished_at, c.id
""")

# Running jobs that were moved to a larger class than they were predicted to belong to, never more than there are slots;
# and those of that kind that gave way just before they could be seen to run.
_OVERDUE = text("""
SELECT j.id, j.kind, j.customer_id, coalesce(j.estimated_s, j.predicted_s) AS estimated_s, w.seconds AS worked_s
FROM (
    SELECT * FROM jobs WHERE state = 'running'
    UNION ALL SELECT * FROM jobs WHERE id = ANY(CAST(:outgrown AS uuid[])) AND state IN ('queued', 'retrying')
) j CROSS JOIN LATERAL (
    SELECT sum(extract(epoch FROM coalesce(ended_at, now()) - started_at))::float8 AS seconds FROM attempts
    WHERE job_id = j.id HAVING bool_and(outcome IS NULL OR outcome = 'interrupted')
) w
WHERE array_position(CAST(:sizes AS text[]), j.size)
    > CASE WHEN j.predicted_s <= :small_s THEN 1 WHEN j.predicted_s <= :medium_s THEN 2
           WHEN j.predicted_s <= :large_s THEN 3 ELSE 4 END
""")

_STATES = text("SELECT id, state, finished_at FROM jobs WHERE id = ANY(:ids)")

_MODELS = text("""
SELECT m.kind, m.customer_id, m.learned FROM size_models m
JOIN unnest(CAST(:kinds AS text[]), CAST(:customers AS uuid[])) AS w(kind, customer_id) USING (kind, customer_id)
""")

# Stamped while the writer is alone: who has seen a row of some time has seen all rows of earlier times.
_WRITE_MODELS = text("""
INSERT INTO size_models (kind, customer_id, learned, updated_at)
SELECT *, clock_timestamp() FROM unnest(CAST(:kinds AS text[]), CAST(:customers AS uuid[]), CAST(:learned AS jsonb[]))
ON CONFLICT (kind, customer_id) DO UPDATE SET learned = excluded.learned, updated_at = excluded.updated_at
""")

_CHANGED = text("""
SELECT kind, customer_id, learned, updated_at FROM size_models
WHERE (updated_at, kind, customer_id) > (CAST(:at AS timestamptz), :kind, :customer_id)
ORDER BY updated_at, kind, customer_id LIMIT :most
""")

LEARNED = "invoicing_learned"
"""What runs too long changed, and with it what other jobs are predicted to take; no payload."""

_TELL = text(f"SELECT pg_notify('{LEARNED}', '')")

Of = tuple[str, UUID]
"""A kind and a customer."""

Learned = Mapping[str, Any]

BEGINNING = (datetime(1, 1, 1, tzinfo=UTC), "", _NIL)


@dataclass(frozen=True)
class Ended:
    """A finished job; `worked_s` is None where its attempts do not say how much work it was."""

    id: UUID
    finished_at: datetime
    of: Of
    estimated_s: float
    worked_s: float | None
    stands_for: float
    """How many jobs of its kind and customer ended, for each of them that was read."""


@dataclass(frozen=True)
class Late:
    """An unfinished job that outlived the class it was predicted to belong to, and what it took so far."""

    of: Of
    seen: Seen


@dataclass(frozen=True)
class Place:
    """Up to where finished jobs were learned from, in their order."""

    finished_at: datetime = datetime(1, 1, 1, tzinfo=UTC)
    id: UUID = _NIL


@dataclass(frozen=True)
class Passed:
    """What finished between a place and a time: those to learn from, how many there were, and up to where."""

    ended: tuple[Ended, ...]
    count: int
    place: Place


@dataclass(frozen=True)
class Page:
    """Models that were written since others were read; customers' as they are in the ledger (see `customer_model`)."""

    kinds: Mapping[str, KindModel]
    customers: Mapping[Of, Learned]
    after: tuple[datetime, str, UUID]
    full: bool


@dataclass(frozen=True)
class Memory:
    """All that is known beside the models of sizes."""

    place: Place = Place()
    load: Load = field(default_factory=Load)
    late: Mapping[UUID, Late] = field(default_factory=dict)
    cutoffs: Cutoffs | None = None
    """As learned; None before they moved for the first time."""
    moved_at: float = 0.0
    """When they moved last (seconds since the epoch)."""


async def alone(session: Session) -> bool:
    """Take the right to learn until the end of the transaction; False when another has it. Writes nothing."""
    return bool(await session.scalar(_ONE_AT_A_TIME))


async def horizon(session: Session) -> tuple[datetime, datetime]:
    """Tell before when every job that finished is known to be there, and what time it is."""
    row = (await session.execute(_HORIZON, {"lag": _LAG, "longest": _LONGEST_TRANSACTION})).one()
    return row.horizon, row.now


async def memory(session: Session) -> Memory:
    """Read what is known beside the models."""
    rows = {row.name: row.state for row in await session.execute(_MEMORY)}
    cutoffs = Cutoffs(**rows["cutoffs"]) if "cutoffs" in rows else None
    known = rows.get("sizes")
    if known is None:
        return Memory(cutoffs=cutoffs)
    load = Load(known["load"]["jobs"], {int(k): v for k, v in known["load"]["work_s"].items()}, known["load"]["at"])
    late = {
        UUID(one): Late((kind, UUID(customer)), Seen(x, off)) for one, (kind, customer, x, off) in known["late"].items()
    }
    place = Place(datetime.fromisoformat(known["finished_at"]), UUID(known["id"]))
    return Memory(place, load, late, cutoffs, known["moved_at"])


async def remember(session: Session, known: Memory) -> None:
    """Write what is known beside the models and the cut-offs."""
    state = {
        "finished_at": known.place.finished_at.isoformat(),
        "id": known.place.id,
        "load": asdict(known.load),
        "late": {str(one): (*late.of, late.seen.x, late.seen.off) for one, late in known.late.items()},
        "moved_at": known.moved_at,
    }
    await session.execute(_WRITE_MEMORY, {"name": "sizes", "state": to_json(state).decode()})


async def tell(session: Session) -> None:
    """Have those who predict read anew what runs too long, once this commits."""
    await session.execute(_TELL)


async def set_cutoffs(session: Session, cutoffs: Cutoffs) -> None:
    """Write the learned cut-offs: a row of their own, which is a part of the policy."""
    await session.execute(_WRITE_MEMORY, {"name": "cutoffs", "state": to_json(asdict(cutoffs)).decode()})


async def finished(session: Session, after: Place, before: datetime, most: int, of_each: int, learned: int) -> Passed:
    """Pass over up to `most` jobs that finished between a place and a time, in order.

    Gives at most `learned` of them to learn from: of each kind and customer the newest, `of_each` at most.
    """
    asked = {"finished_at": after.finished_at, "id": after.id, "horizon": before}
    rows = (await session.execute(_FINISHED, {**asked, "most": most, "of_each": of_each, "learned": learned})).all()
    if not rows:
        return Passed((), 0, after)
    ended = tuple(
        Ended(
            row.id,
            row.finished_at,
            (row.kind, row.customer_id),
            row.estimated_s,
            row.worked_s,
            max(1.0, row.alike / of_each),
        )
        for row in rows
    )
    return Passed(ended, rows[0].passed, Place(rows[0].last_at, rows[0].last_id))


async def overdue(
    session: Session, cutoffs: Cutoffs, outgrown: Collection[UUID] = ()
) -> dict[UUID, tuple[Of, float, float]]:
    """List running jobs that were re-classed, and those `outgrown`: of whom, estimated and worked so far (seconds)."""
    rows = await session.execute(_OVERDUE, {"sizes": list(SIZES), "outgrown": list(outgrown), **asdict(cutoffs)})
    return {row.id: ((row.kind, row.customer_id), row.estimated_s, row.worked_s) for row in rows}


async def states(session: Session, ids: Collection[UUID]) -> dict[UUID, tuple[State, datetime | None]]:
    """Tell the states of some jobs, and when they finished, as far as they are still there."""
    if not ids:
        return {}
    rows = await session.execute(_STATES, {"ids": list(ids)})
    return {row.id: (State(row.state), row.finished_at) for row in rows}


async def models(session: Session, wanted: Collection[Of]) -> tuple[dict[str, KindModel], dict[Of, CustomerModel]]:
    """Read the models of kinds and of customers; what there is none of comes as one that knows nothing."""
    kinds = dict.fromkeys((kind for kind, _ in wanted), NOTHING)
    customers = dict.fromkeys(wanted, NOBODY)
    asked = [*((kind, WHOLE_KIND) for kind in kinds), *customers]
    rows = await session.execute(_MODELS, _columns(asked))
    for row in rows:
        if row.customer_id == WHOLE_KIND:
            kinds[row.kind] = KindModel(**row.learned)
        else:
            customers[row.kind, row.customer_id] = customer_model(row.learned)
    return kinds, customers


async def keep_models(session: Session, kinds: Mapping[str, KindModel], customers: Mapping[Of, CustomerModel]) -> None:
    """Write models, in one order everywhere."""
    found: dict[Of, KindModel | CustomerModel] = {(kind, WHOLE_KIND): model for kind, model in kinds.items()}
    found.update(customers)
    asked = sorted(found)
    learned = [to_json(_as_json(found[one])).decode() for one in asked]
    await session.execute(_WRITE_MODELS, {**_columns(asked), "learned": learned})


async def changed_models(session: Session, after: tuple[datetime, str, UUID], most: int = 1_000) -> Page:
    """Read the models written after a place, in order; begins at `BEGINNING`."""
    at, kind, customer_id = after
    asked = {"at": at, "kind": kind, "customer_id": customer_id, "most": most}
    rows = (await session.execute(_CHANGED, asked)).all()
    kinds = {row.kind: KindModel(**row.learned) for row in rows if row.customer_id == WHOLE_KIND}
    customers = {(row.kind, row.customer_id): row.learned for row in rows if row.customer_id != WHOLE_KIND}
    reached = (rows[-1].updated_at, rows[-1].kind, rows[-1].customer_id) if rows else after
    return Page(kinds, customers, reached, full=len(rows) == most)


def customer_model(learned: Learned) -> CustomerModel:
    """Read a customer's model."""
    last = tuple(Seen(x, off) for x, off in learned["last"])
    return CustomerModel(learned["jobs"], last, learned["voted"], learned["at"])


def _as_json(model: KindModel | CustomerModel) -> Learned:
    if isinstance(model, KindModel):
        return asdict(model)
    last = [(seen.x, seen.off) for seen in model.last]
    return {"jobs": model.jobs, "last": last, "voted": model.voted, "at": model.at}


def _columns(asked: Sequence[Of]) -> dict[str, Any]:
    return {"kinds": [kind for kind, _ in asked], "customers": [customer for _, customer in asked]}
