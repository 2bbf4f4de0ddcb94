"""Tables of customers, their keys and the audit."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

customers = Table(
    "customers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("rate_per_s", Double, nullable=False, server_default="100"),
    Column("burst", Integer, nullable=False, server_default="1000"),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("weight", Double, nullable=False, server_default="1"),
    Column("max_running", Integer),
    Column("max_waiting", Integer),
    CheckConstraint("weight > 0", name="weight"),
    CheckConstraint("max_running > 0 AND max_waiting > 0", name="caps"),
    CheckConstraint("slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name="slug"),
    CheckConstraint("rate_per_s > 0 AND burst > 0", name="rate"),
)

# nothing of a customer starts until then; of each customer one holds at most
customer_pauses = Table(
    "customer_pauses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    CheckConstraint("until > since", name="until"),
    Index("ix_customer_pauses_customer_id", "customer_id", unique=True, postgresql_where=text("ended_at IS NULL")),
    # which pauses a job's wait fell into
    Index("ix_customer_pauses_customer_id_since", "customer_id", "since"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", ForeignKey("customers.id"), index=True),
    Column("role", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("role IN ('customer', 'support', 'ops', 'admin')", name="role"),
    CheckConstraint("(role = 'customer') = (customer_id IS NOT NULL)", name="owner"),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("key_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("reason", Text),
    Column("data", JSONB, nullable=False, server_default="{}"),
    Index("ix_audit_entries_target_at", "target", "at"),
)
