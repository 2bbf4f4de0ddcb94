"""Tables of the channels that alerts go to, and of what was last said of each incident."""

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

from invoicing.alerts.model import AlertState, Severity
from invoicing.kit.db import metadata

alert_channels = Table(
    "alert_channels",
    metadata,
    # the endpoint that it is to the outbox, which has its address, its key or secret, and its breaker
    Column("id", ForeignKey("endpoints.id"), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("least", Text, nullable=False),
    Column("answer_secret", Text),  # which PagerDuty signs with when something happens there
    Column("from_environment", Boolean, nullable=False, server_default="false"),
    CheckConstraint("least IN ({})".format(", ".join(f"'{one}'" for one in Severity)), name="least"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("incident_id", Uuid, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("severities", ARRAY(Text), nullable=False),  # all that it has had
    Column("body", Text, nullable=False),
    Column("said_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ({})".format(", ".join(f"'{one}'" for one in AlertState)), name="state"),
    Index("ix_alerts_standing", "incident_id", postgresql_where=text("state <> 'resolved'")),
    Index("ix_alerts_said_at", "said_at", postgresql_where=text("state = 'resolved'")),
)
