"""Tables of jobs and all that belongs to one."""

from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.jobs.model import News, Priority, PromiseStatus, Size, State
from invoicing.kit.db import metadata


def _one_of(column: str, values: type[State | Priority | Size | News]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


_when = DateTime(timezone=True)
_waiting = "state IN ('queued', 'retrying')"

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("reference", Text),
    Column("priority", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("predicted_s", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False, server_default="1"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("due_at", _when, nullable=False, server_default=func.now()),
    Column("order_at", _when, nullable=False),
    Column("released_at", _when),
    Column("submitted_at", _when, nullable=False, server_default=func.now()),
    Column("started_at", _when),
    Column("finished_at", _when),
    Column("deadline", _when),
    Column("promise_due", _when, nullable=False),
    Column("lease_until", _when),
    Column("worker_id", Uuid),
    Column("cancel_requested_at", _when),
    Column("irrevocable", Boolean, nullable=False, server_default="false"),
    Column("progress_done", Double),
    Column("progress_total", Double),
    Column("progress_unit", Text),
    Column("progressed_at", _when),
    Column("result", JSONB),
    Column("error", JSONB),
    Column("webhook", Text),
    Column("key_id", Uuid, nullable=False, server_default=str(UUID(int=0))),
    Column("estimated_s", Double),
    Column("parked_at", _when),
    Column("expedited_at", _when),
    Column("promise_status", Text, nullable=False, server_default=PromiseStatus.ON_TRACK),
    Column("promise_changed_at", _when),
    Column("updates", Integer, nullable=False, server_default="0"),
    Column("amount", Numeric),  # what it is about, where its kind knows
    Column("currency", Text),
    Column("needs", Text, nullable=False, server_default=""),
    Column("held", Boolean, nullable=False, server_default="false"),
    CheckConstraint(_one_of("priority", Priority), name="priority"),
    CheckConstraint(_one_of("size", Size), name="size"),
    CheckConstraint(_one_of("state", State), name="state"),
    CheckConstraint("promise_status IN ('on_track', 'at_risk', 'missed')", name="promise_status"),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint(f"NOT held OR ({_waiting} AND released_at IS NULL)", name="held"),
    CheckConstraint("(state IN ('succeeded', 'dead', 'cancelled')) = (finished_at IS NOT NULL)", name="finished"),
    # the backlog of a key in the order in which it is released; what needs something from outside is by itself, so that
    # nothing looks past it while that is down
    Index(
        "ix_jobs_backlog",
        "customer_id",
        "key_id",
        "size",
        "priority",
        "needs",
        "order_at",
        "id",
        postgresql_where=text(f"{_waiting} AND released_at IS NULL AND NOT held"),
    ),
    # who is touched while something outside is down; kinds that need nothing are not in it
    Index("ix_jobs_needing", "customer_id", "id", postgresql_where=text("finished_at IS NULL AND needs <> ''")),
    Index(
        "ix_jobs_runway",
        "priority",
        "size",
        "released_at",
        postgresql_where=text(f"{_waiting} AND released_at IS NOT NULL"),
    ),
    # what our staff put in front of the fair order: few at a time, looked at before any queue
    Index(
        "ix_jobs_expedited",
        "expedited_at",
        "id",
        postgresql_where=text(f"{_waiting} AND released_at IS NULL AND expedited_at IS NOT NULL"),
    ),
    # only a job that is tried again is due later; the dispatcher asks in every round when the next one is
    Index("ix_jobs_due_at", "due_at", postgresql_where=text("state = 'retrying'")),
    Index("ix_jobs_lease", "lease_until", postgresql_where=text("state = 'running'")),
    Index("ix_jobs_customer_id_id", "customer_id", "id"),
    Index("ix_jobs_customer_id_reference", "customer_id", "reference", postgresql_where=text("reference IS NOT NULL")),
    Index("ix_jobs_customer_id_unfinished", "customer_id", "id", postgresql_where=text("finished_at IS NULL")),
    # what finished since it was last learned from
    Index("ix_jobs_finished", "finished_at", "id", postgresql_where=text("state = 'succeeded'")),
    # the last jobs of a kind and a power of ten of predicted seconds, from which normal times are learned
    Index(
        "ix_jobs_similar",
        "kind",
        text("floor(log(GREATEST(predicted_s, 0.001)))"),
        "finished_at",
        postgresql_where=text("state = 'succeeded' AND failures = 0"),
    ),
    # all others that finished, by their kinds: with the index above, every job that was kept long enough is found
    Index(
        "ix_jobs_troubled",
        "kind",
        "state",
        "finished_at",
        "id",
        postgresql_where=text("state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0)"),
    ),
    # the promises that may still break, those due first: the keeper looks at them in this order
    Index(
        "ix_jobs_promise_due",
        "promise_due",
        "id",
        postgresql_where=text("finished_at IS NULL AND promise_status <> 'missed'"),
    ),
    # the promises of a lane that broke or may break, of unfinished jobs: few rows while all is well
    Index(
        "ix_jobs_promise_broken",
        "priority",
        "size",
        postgresql_where=text("finished_at IS NULL AND promise_status <> 'on_track'"),
    ),
    # the row is updated at every checkpoint: room for the new version on the same page keeps that cheap
    postgresql_with={"fillfactor": 70},
)

# one row: whoever pauses a lane changes it, and whoever releases names what it found there
release_gate = Table(
    "release_gate",
    metadata,
    Column("single", Boolean, primary_key=True, server_default="true"),
    Column("withdrawals", Integer, nullable=False, server_default="0"),
    CheckConstraint("single", name="single"),
)

payload_parts = Table(
    "payload_parts",
    metadata,
    # deferrable: the parts of a large request are written before its job
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE", deferrable=True), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("item_count", Integer, nullable=False, server_default="0"),
    Column("body", LargeBinary, nullable=False),
)

# a job's history is written by the statements that change its row: asking for each of its rows whether that is there
# would take a tenth of the ledger's time
timeline = Table(
    "timeline",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", _when, nullable=False, server_default=func.now()),
    Column("event", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("data", JSONB, nullable=False, server_default="{}"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("job_id", Uuid, primary_key=True),  # as in the timeline
    Column("number", Integer, primary_key=True),
    Column("worker_id", Uuid, nullable=False),
    Column("started_at", _when, nullable=False, server_default=func.now()),
    Column("ended_at", _when),
    Column("outcome", Text),
    Column("error", JSONB),
    # each row is updated once, when the attempt ends
    postgresql_with={"fillfactor": 80},
)

# a row for each attempt whose lease ran out; one whose worker never returned is a death
losses = Table(
    "losses",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("worker_id", Uuid, nullable=False),
    Column("host", Text),
    Column("heard_at", _when),
    Column("lost_at", _when, nullable=False, server_default=func.now()),
    Column("returned_at", _when),
    Column("forgiven_at", _when),
    Index("ix_losses_worker_id", "worker_id", postgresql_where=text("returned_at IS NULL")),
)

# what was told of a job's promise, each row with one of its timeline; the ends of jobs say the rest
promise_changes = Table(
    "promise_changes",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", _when, nullable=False, server_default=func.now()),
    Column("news", Text, nullable=False),
    Column("due", _when, nullable=False),
    Column("moved_from", _when),
    Column("likely", _when),
    Column("latest", _when),
    Column("cause", Text),
    Column("message", Text),
    Column("wording", Text),  # with `fields`: tells the cause in any language
    Column("fields", JSONB),
    Column("by", Text, nullable=False, server_default="service"),
    Column("actor", Text),
    Column("reason", Text),
    CheckConstraint(_one_of("news", News), name="news"),
    CheckConstraint("(news = 'moved') = (moved_from IS NOT NULL)", name="moved_from"),
)

# until when whoever read a job at a revision was told that there will be news of it; gone once there was
news_due = Table(
    "news_due",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("due", _when, nullable=False, index=True),
)

# what is promised to a customer otherwise than its kind says; few rows, which the web processes hold in memory
agreements = Table(
    "agreements",
    metadata,
    Column("customer_id", ForeignKey("customers.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("size", Text, primary_key=True),
    Column("seconds", Double, nullable=False),
    Column("calendar", JSONB),  # none: by the clock
    Column("agreed_at", _when, nullable=False, server_default=func.now()),
    CheckConstraint(_one_of("size", Size), name="size"),
    CheckConstraint("seconds > 0", name="seconds"),
)

# how promises ended, counted by the hour of the end, from where the last count stopped
promise_tallies = Table(
    "promise_tallies",
    metadata,
    Column("hour", _when, primary_key=True),
    Column("customer_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("kept", Integer, nullable=False, server_default="0"),
    Column("missed", Integer, nullable=False, server_default="0"),
    Column("updates_kept", Integer, nullable=False, server_default="0"),
    Column("updates_missed", Integer, nullable=False, server_default="0"),
    Index("ix_promise_tallies_customer_id_hour", "customer_id", "hour"),
)

promise_counts = Table(
    "promise_counts",
    metadata,
    Column("single", Boolean, primary_key=True, server_default="true"),
    Column("counted_to", _when, nullable=False, server_default=func.now()),
    CheckConstraint("single", name="single"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("at", _when, nullable=False, server_default=func.now()),
    Column("state", JSONB, nullable=False),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("customer_id", ForeignKey("customers.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column(
        "job_id",
        ForeignKey("jobs.id", ondelete="CASCADE", deferrable=True, initially="DEFERRED"),
        nullable=False,
        index=True,
    ),
    Column("body_hash", LargeBinary, nullable=False),
    Column("created_at", _when, nullable=False, server_default=func.now(), index=True),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False, server_default="0"),
    Column("sha256", Text),
    Column("complete", Boolean, nullable=False, server_default="false"),
    Column("created_at", _when, nullable=False, server_default=func.now()),
)

artifact_parts = Table(
    "artifact_parts",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
