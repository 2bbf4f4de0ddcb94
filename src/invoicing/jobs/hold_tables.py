"""Tables of what holds jobs before they run: rules about reviews, quotas, and who waits for what, or is paused."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.sql import func

from invoicing.kit.db import metadata

_when = DateTime(timezone=True)

# from what on a job is looked at by a person first; few rows, which the
# web processes hold in memory. The nil customer: whoever has none of its own
reviews = Table(
    "reviews",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("measure", Text, primary_key=True),
    Column("threshold", Numeric, nullable=False),
    Column("owner", Text, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("set_at", _when, nullable=False, server_default=func.now()),
    CheckConstraint("seconds > 0 AND threshold >= 0", name="bounds"),
)

# how many jobs of a customer may be carried out in a period: a row counts the present one, and is locked to be counted
quotas = Table(
    "quotas",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("customer_id", ForeignKey("customers.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("most", Integer),  # none: it has ended, and lets go what it held
    Column("period", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("begun_at", _when, nullable=False),
    Column("ends_at", _when, nullable=False, server_default=func.now()),
    Column("used", Integer, nullable=False, server_default="0"),
    Column("waiting", Integer, nullable=False, server_default="0"),
    Column("set_at", _when, nullable=False, server_default=func.now()),
    UniqueConstraint("customer_id", "kind"),
    CheckConstraint("period IN ('day', 'month')", name="period"),
    CheckConstraint("most > 0", name="most"),
    CheckConstraint("used >= 0 AND waiting >= 0", name="counts"),
    # those that may have somebody to let go: looked at every second
    Index("ix_quotas_waiting", "id", postgresql_where=text("waiting > 0")),
)

# what holds a job now: an open review (it has an owner), a quota that is used up, or a pause (it has a reason); gone
# with its end, of which the timeline tells
holds = Table(
    "holds",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("since", _when, nullable=False, server_default=func.now()),
    Column("due", _when),
    Column("owner", Text),
    Column("measure", Text),
    Column("threshold", Numeric),
    Column("value", Numeric),
    Column("quota_id", Uuid),
    Column("reason", Text),
    Column("message", Text),
    Column("by", Text),
    CheckConstraint(
        "num_nonnulls(quota_id, owner, reason) = 1 AND (quota_id IS NULL) = (due IS NOT NULL)"
        " AND num_nonnulls(owner, measure, threshold, value) IN (0, 4) AND (reason IS NULL) = (by IS NULL)",
        name="what",
    ),
    Index("ix_holds_due", "due", "job_id", postgresql_where=text("quota_id IS NULL")),
    Index("ix_holds_paused", "due", "job_id", postgresql_where=text("reason IS NOT NULL")),
    Index("ix_holds_quota", "quota_id", "since", "job_id", postgresql_where=text("quota_id IS NOT NULL")),
)

# which jobs have a place, and of which period: one that is cancelled before it begins gives it back
quota_places = Table(
    "quota_places",
    metadata,
    Column("job_id", ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("quota_id", Uuid, nullable=False),
    Column("begun_at", _when, nullable=False),
)
