"""Tables of the rota, a row for each version of it, and of overrides."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

rotas = Table(
    "rotas",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("document", JSONB, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", _when, nullable=False, server_default=func.now()),
)

rota_overrides = Table(
    "rota_overrides",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("begins", _when, nullable=False),
    Column("ends", _when, nullable=False),
    Column("person", Text, nullable=False),
    Column("replaces", Text),
    Column("level", Integer, nullable=False, server_default="1"),
    Column("uid", Text),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("removed_at", _when),
    CheckConstraint("ends > begins", name="ends"),
    # those that are not over
    Index("ix_rota_overrides_ends", "ends", postgresql_where=text("removed_at IS NULL")),
)
