"""Tables of what jobs need from outside."""

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, Table, Text, Uuid

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

# what jobs need from outside: how it does, a row each from its first failure on
dependencies = Table(
    "dependencies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("failed_at", _when),
    Column("opened_at", _when),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", _when),
    Column("job_id", Uuid),
    Column("attempt", Integer),
    Column("tried_at", _when),
    CheckConstraint("(opened_at IS NULL) = (next_try_at IS NULL)", name="open"),
)

# when each of them was down: what jobs waited for then is told from these rows
outages = Table(
    "outages",
    metadata,
    Column("dependency", Text, primary_key=True),
    Column("since", _when, primary_key=True),
    Column("until", _when, index=True),
    Column("title", Text, nullable=False),
    CheckConstraint("until >= since", name="until"),
)
