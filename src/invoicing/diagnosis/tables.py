"""Tables of ends that were foreseen, of what held whole lanes, and of the time that jobs took by cause."""

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
