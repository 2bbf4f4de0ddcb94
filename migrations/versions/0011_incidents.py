"""incidents: one cause that touches many jobs, with its timeline; and the promises of unfinished jobs that broke."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_CHANGES = (
    "'opened', 'severity_raised', 'eased', 'returned', 'acknowledged', 'assigned', 'noted', 'estimated', 'merged', "
    "'resolved', 'reopened'"
)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "incidents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("since", _WHEN, nullable=False),
        sa.Column("opened_at", _WHEN, nullable=False),
        sa.Column("quiet_since", _WHEN),
        sa.Column("acknowledged_at", _WHEN),
        sa.Column("acknowledged_by", sa.Text()),
        sa.Column("assignee", sa.Text()),
        sa.Column("estimate", _WHEN),
        sa.Column("estimate_by", sa.Text()),
        sa.Column("resolved_at", _WHEN),
        sa.Column("resolved_by", sa.Text()),
        sa.Column("reopenings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("merged_into", sa.Uuid()),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("seen_at", _WHEN),
        sa.Column("evidence", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("blast", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("reach", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_incidents_state")),
        sa.CheckConstraint("severity IN ('S1', 'S2', 'S3', 'S4')", name=op.f("ck_incidents_severity")),
        sa.CheckConstraint("(state = 'resolved') = (resolved_at IS NOT NULL)", name=op.f("ck_incidents_resolved")),
        sa.CheckConstraint("merged_into IS NULL OR state = 'resolved'", name=op.f("ck_incidents_merged")),
        sa.ForeignKeyConstraint(["merged_into"], ["incidents.id"], name=op.f("fk_incidents_merged_into_incidents")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "ix_incidents_live",
        "incidents",
        ["cause", "scope"],
        unique=True,
        postgresql_where=sa.text("state <> 'resolved'"),
    )
    op.create_index(
        "ix_incidents_resolved_at", "incidents", ["resolved_at"], postgresql_where=sa.text("state = 'resolved'")
    )
    op.create_index(
        "ix_incidents_merged_into", "incidents", ["merged_into"], postgresql_where=sa.text("merged_into IS NOT NULL")
    )
    op.create_table(
        "incident_changes",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("data", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.CheckConstraint(f"change IN ({_CHANGES})", name=op.f("ck_incident_changes_change")),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_changes_incident_id_incidents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incident_id", "seq", name=op.f("pk_incident_changes")),
    )
    op.create_index(
        "ix_jobs_promise_broken",
        "jobs",
        ["priority", "size"],
        postgresql_where=sa.text("finished_at IS NULL AND promise_status <> 'on_track'"),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_index("ix_jobs_promise_broken", table_name="jobs")
    op.drop_table("incident_changes")
    op.drop_table("incidents")
