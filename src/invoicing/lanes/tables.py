"""Tables of pauses, of the workers that serve the lanes, and of what the scheduling policy knows."""

from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

pauses = Table(
    "pauses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("lane", Text, nullable=False),
    Column("since", _when, nullable=False, server_default=func.now()),
    Column("until", _when, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("ended_at", _when),
    Column("maintenance_id", Uuid),  # the window that it is part of
    CheckConstraint("until > since", name="until"),
    Index("ix_pauses_lane", "lane", unique=True, postgresql_where=text("ended_at IS NULL")),
    # which pauses a job's wait fell into
    Index("ix_pauses_lane_since", "lane", "since"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("build", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("lanes", ARRAY(Text), nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("started_at", _when, nullable=False, server_default=func.now()),
    Column("beat_at", _when, nullable=False, server_default=func.now(), index=True),
    Column("loop_beat_at", _when, nullable=False, server_default=func.now()),
    Column("stopping", Boolean, nullable=False, server_default="false"),
    Column("lease_s", Double, nullable=False, server_default="10"),
)

# one row: when the dispatcher that leads last looked at the backlog
dispatching = Table(
    "dispatching",
    metadata,
    Column("single", Boolean, primary_key=True, server_default="true"),
    Column("looked_at", _when),
    CheckConstraint("single", name="single"),
)

tallies = Table(
    "tallies",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("priority", Text, primary_key=True),
    Column("size", Text, primary_key=True),
    Column("needs", Text, primary_key=True, server_default=""),
    Column("waiting", BigInteger, nullable=False),
    Column("work_s", Double, nullable=False),
)

# written by a trigger on `jobs` in each statement that changes what waits; folded into `tallies`
tally_changes = Table(
    "tally_changes",
    metadata,
    Column("customer_id", Uuid, nullable=False),
    Column("priority", Text, nullable=False),
    Column("size", Text, nullable=False),
    Column("needs", Text, nullable=False, server_default=""),
    Column("waiting", BigInteger, nullable=False),
    Column("work_s", Double, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("served_s", Double, nullable=False),
    Column("updated_at", _when, nullable=False, server_default=func.now()),
)

policies = Table(
    "policies",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("settings", JSONB, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", _when, nullable=False, server_default=func.now()),
)

size_models = Table(
    "size_models",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("customer_id", Uuid, primary_key=True, server_default=str(UUID(int=0))),
    Column("learned", JSONB, nullable=False),
    Column("updated_at", _when, nullable=False, server_default=func.now(), index=True),
)

learning = Table(
    "learning",
    metadata,
    Column("name", Text, primary_key=True),
    Column("state", JSONB, nullable=False),
    Column("updated_at", _when, nullable=False, server_default=func.now()),
)
