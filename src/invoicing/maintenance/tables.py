"""Tables of maintenance windows, and of who was told of each."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

maintenance = Table(
    "maintenance",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("begins", _when, nullable=False),
    Column("ends", _when, nullable=False),
    Column("lanes", ARRAY(Text), nullable=False),
    Column("reason", Text, nullable=False),
    Column("internal_reason", Text, nullable=False),
    Column("drain", Boolean, nullable=False),
    Column("shift_promises", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", _when, nullable=False, server_default=func.now()),
    Column("announced_at", _when),
    Column("begun_at", _when),
    Column("ended_at", _when),
    # how far promises are shifted: of jobs older than `shift_below`, those due last first; then newer ones as they come
    Column("shift_below", Uuid),
    Column("shift_due", _when),
    Column("shift_id", Uuid),
    Column("shifted_at", _when),
    Column("shift_from", Uuid),
    Column("shifted", Integer, nullable=False, server_default="0"),
    CheckConstraint("ends > begins", name="ends"),
    CheckConstraint("cardinality(lanes) > 0", name="lanes"),
    Index("ix_maintenance_open", "begins", postgresql_where=text("ended_at IS NULL")),
)

maintenance_notices = Table(
    "maintenance_notices",
    metadata,
    Column("maintenance_id", ForeignKey("maintenance.id", ondelete="CASCADE"), primary_key=True),
    Column("customer_id", Uuid, primary_key=True),
    Column("told_at", _when, nullable=False, server_default=func.now()),
)
