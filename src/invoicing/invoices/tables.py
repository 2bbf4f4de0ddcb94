"""Tables of invoice numbers, issued invoices and the finished chunks of large ones."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

number_series = Table(
    "number_series",
    metadata,
    Column("customer_id", ForeignKey("customers.id"), primary_key=True),
    Column("seller", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    # of the numbers up to the last one, how many belonged to invoices that were kept long enough and are gone
    Column("removed", BigInteger, nullable=False, server_default="0"),
)

invoices = Table(
    "invoices",
    metadata,
    # without a rule for its deletion: removing the job of an issued invoice is refused, unless that was let go first
    Column("job_id", ForeignKey("jobs.id"), primary_key=True),
    Column("customer_id", Uuid, nullable=False),
    Column("seller", Text, nullable=False),
    Column("series", Text, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("number", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("payable", Numeric, nullable=False),
    Column("preceding_number", Text),
    Column("numbered_at", _when, nullable=False, server_default=func.now()),
    Column("issued_at", _when),
    Column("rules", JSONB, nullable=False),
    # one request, one number; and within a series every number once
    UniqueConstraint("customer_id", "seller", "series", "sequence"),
)

invoice_chunks = Table(
    "invoice_chunks",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("lines", Integer, nullable=False),
    Column("sums", JSONB, nullable=False),
    Column("months", JSONB, nullable=False),
    Column("made_at", _when, nullable=False, server_default=func.now()),
)
