"""The table of ends that were foreseen, and what came of them."""

from sqlalchemy import Column, DateTime, Double, ForeignKey, Table, Text, Uuid
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

foreseen = Table(
    "foreseen",
    metadata,
    Column("job_id", Uuid, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("size", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("made_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("point_s", Double, nullable=False),
    Column("passed_s", Double),
)
