"""Tables of incidents, of what happened to each, and of the customers who were told of it."""

from sqlalchemy import (
    ARRAY,
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
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import func

from invoicing.incidents.model.incident import ChangeKind, IncidentState, Severity
from invoicing.kit.db import metadata

_when = DateTime(timezone=True)


def _one_of(column: str, values: type[ChangeKind | IncidentState | Severity]) -> str:
    return f"{column} IN ({', '.join(repr(value.value) for value in values)})"


# few rows: a cause that comes back soon reopens its incident, and jobs are not listed but told by `reach`
incidents = Table(
    "incidents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("since", _when, nullable=False),
    Column("opened_at", _when, nullable=False),
    Column("quiet_since", _when),
    Column("acknowledged_at", _when),
    Column("acknowledged_by", Text),
    Column("assignee", Text),
    Column("estimate", _when),
    Column("estimate_by", Text),
    Column("resolved_at", _when),
    Column("resolved_by", Text),
    Column("reopenings", Integer, nullable=False, server_default="0"),
    Column("merged_into", ForeignKey("incidents.id")),
    Column("revision", Integer, nullable=False),
    Column("seen_at", _when),
    Column("evidence", JSONB, nullable=False, server_default="{}"),
    Column("blast", JSONB, nullable=False, server_default="{}"),
    Column("reach", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(_one_of("state", IncidentState), name="state"),
    CheckConstraint(_one_of("severity", Severity), name="severity"),
    CheckConstraint("(state = 'resolved') = (resolved_at IS NOT NULL)", name="resolved"),
    CheckConstraint("merged_into IS NULL OR state = 'resolved'", name="merged"),
    # a cause has one live incident in a scope
    Index("ix_incidents_live", "cause", "scope", unique=True, postgresql_where=text("state <> 'resolved'")),
    Index("ix_incidents_resolved_at", "resolved_at", postgresql_where=text("state = 'resolved'")),
    Index("ix_incidents_merged_into", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    postgresql_with={"fillfactor": 70},
)

incident_changes = Table(
    "incident_changes",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", _when, nullable=False, server_default=func.now()),
    Column("change", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("text", Text),
    Column("data", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(_one_of("change", ChangeKind), name="change"),
)

# beside incidents, not columns of them: whoever reads these takes every column
incident_escalations = Table(
    "incident_escalations",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("reopenings", Integer, nullable=False),  # of the incident: what is said of an earlier time is void
    Column("silenced_by", Uuid),  # the window because of which ops were not told
    Column("since", _when),  # steps are counted from then
)

incident_calls = Table(
    "incident_calls",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("reopenings", Integer, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("level", Integer, nullable=False),
    Column("at", _when, nullable=False),
)

incident_notices = Table(
    "incident_notices",
    metadata,
    Column("incident_id", ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    Column("customer_id", Uuid, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("since", _when, nullable=False),
    # which jobs it touched: those that waited in lanes, the oldest first, and others by their ids, up to a bound
    Column("lanes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("first_job", Uuid),
    Column("job_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("seq", Integer, nullable=False, server_default="1"),  # messages so far
    Column("told_at", _when, nullable=False, server_default=func.now()),
    Column("estimate", _when),
    Column("next_update_by", _when, nullable=False),
    Column("earlier_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("ended_at", _when),
    Index("ix_incident_notices_open", "incident_id", postgresql_where=text("ended_at IS NULL")),
)
