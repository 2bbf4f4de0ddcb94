"""Tables of pauses and of the workers that serve the lanes."""

from sqlalchemy import ARRAY, Boolean, CheckConstraint, Column, DateTime, Index, Integer, Table, Text, Uuid, text
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
    CheckConstraint("until > since", name="until"),
    Index("ix_pauses_lane", "lane", unique=True, postgresql_where=text("ended_at IS NULL")),
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
)
