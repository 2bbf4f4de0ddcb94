"""Tables of foreseen ends and what came of them, of what held whole lanes, and of the time that jobs took by cause."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

foreseen = Table(
    "foreseen",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("size", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("made_at", _when, nullable=False, server_default=func.now()),
    Column("point_s", Double, nullable=False),
    Column("passed_s", Double),
    Column("kind", Text, nullable=False, server_default=""),
    Column("earliest_s", Double),
    Column("likely_s", Double),
    Column("latest_s", Double),
    Column("naive_s", Double),
    Column("slow_after_s", Double),
)

# what came of foreseen ends, by the day on which they came; errors are counts by their size
calibration = Table(
    "calibration",
    metadata,
    Column("day", Date, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("size", Text, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("scored", BigInteger, nullable=False),
    Column("ranged", BigInteger, nullable=False),
    Column("early", BigInteger, nullable=False),
    Column("late", BigInteger, nullable=False),
    Column("bounded", BigInteger, nullable=False),
    Column("slow", BigInteger, nullable=False),
    Column("errors", JSONB, nullable=False),
    Column("naive_errors", JSONB, nullable=False),
)

# what held a whole scope (a lane, a customer, `*`: everything), a row for each time that it began; a scope has each
# cause at most once at a time
conditions = Table(
    "conditions",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("since", _when, primary_key=True),
    Column("until", _when),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    Column("spares", ARRAY(Text), nullable=False, server_default="{}"),
    CheckConstraint("until >= since", name="until"),
    Index("ix_conditions_open", "scope", "cause", unique=True, postgresql_where=text("until IS NULL")),
    Index("ix_conditions_until", "until"),
)

# how far a loop has come: `watch`, when lanes were looked at last; `waits`, up to which end of a job waits are added up
places = Table(
    "places",
    metadata,
    Column("name", Text, primary_key=True),
    Column("at", _when, nullable=False, server_default=func.now()),
    Column("job_id", Uuid),
)

# the lives of ended jobs, added up by the day, in milliseconds
waits = Table(
    "waits",
    metadata,
    Column("day", Date, primary_key=True),
    Column("lane", Text, primary_key=True),
    Column("customer_id", Uuid, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("ms", BigInteger, nullable=False),
)

# how much of the life of a job that died is added up already: it may be tried again
waits_booked = Table(
    "waits_booked",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("until", _when, nullable=False),
)
