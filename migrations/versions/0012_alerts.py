"""alerts: channels to those who run the service, endpoints of no customer; what was last said of each incident."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_OF_OPS = "channel IN ('alertmanager', 'pagerduty', 'alert_webhook', 'alert_mail', 'chat')"
_CHANNELS = "channel IN ('webhook', 'mail', 'alertmanager', 'pagerduty', 'alert_webhook', 'alert_mail', 'chat')"
_NOW = sa.text("now()")


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.add_column("messages", sa.Column("incident_id", sa.Uuid(), nullable=True))
    op.add_column("messages", sa.Column("repeats", sa.Interval(), nullable=True))
    op.drop_constraint(op.f("ck_messages_job"), "messages")
    op.create_check_constraint(
        op.f("ck_messages_subject"), "messages", "num_nonnulls(job_id, incident_id) = num_nonnulls(seq)"
    )
    for table in ("endpoints", "messages"):
        op.alter_column(table, "customer_id", nullable=True)
        op.drop_constraint(op.f(f"ck_{table}_channel"), table)
        op.create_check_constraint(op.f(f"ck_{table}_channel"), table, _CHANNELS)
        op.create_check_constraint(op.f(f"ck_{table}_owner"), table, f"(customer_id IS NULL) = ({_OF_OPS})")
    op.create_index(
        "ix_messages_incident_id_endpoint_id_seq",
        "messages",
        ["incident_id", "endpoint_id", "seq"],
        unique=True,
        postgresql_where=sa.text("incident_id IS NOT NULL"),
    )
    op.create_index(
        "ix_endpoints_idempotency_key",
        "endpoints",
        ["idempotency_key"],
        unique=True,
        postgresql_where=sa.text("customer_id IS NULL"),
    )
    op.create_table(
        "alert_channels",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("least", sa.Text(), nullable=False),
        sa.Column("answer_secret", sa.Text(), nullable=True),
        sa.Column("from_environment", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("least IN ('S1', 'S2', 'S3', 'S4')", name=op.f("ck_alert_channels_least")),
        sa.ForeignKeyConstraint(["id"], ["endpoints.id"], name=op.f("fk_alert_channels_id_endpoints")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_channels")),
        sa.UniqueConstraint("name", name=op.f("uq_alert_channels_name")),
    )
    op.create_table(
        "alerts",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("severities", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("said_at", _WHEN, server_default=_NOW, nullable=False),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'resolved')", name=op.f("ck_alerts_state")),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_alerts")),
    )
    op.create_index("ix_alerts_standing", "alerts", ["incident_id"], postgresql_where=sa.text("state <> 'resolved'"))
    op.create_index("ix_alerts_said_at", "alerts", ["said_at"], postgresql_where=sa.text("state = 'resolved'"))


def downgrade() -> None:
    """Undo it; channels of ops and what waits for them go."""
    op.drop_table("alerts")
    op.drop_table("alert_channels")
    op.execute("DELETE FROM messages WHERE customer_id IS NULL")
    op.execute("DELETE FROM endpoints WHERE customer_id IS NULL")
    op.drop_index("ix_endpoints_idempotency_key", "endpoints")
    op.drop_index("ix_messages_incident_id_endpoint_id_seq", "messages")
    for table in ("endpoints", "messages"):
        op.drop_constraint(op.f(f"ck_{table}_owner"), table)
        op.drop_constraint(op.f(f"ck_{table}_channel"), table)
        op.create_check_constraint(op.f(f"ck_{table}_channel"), table, "channel IN ('webhook', 'mail')")
        op.alter_column(table, "customer_id", nullable=False)
    op.drop_constraint(op.f("ck_messages_subject"), "messages")
    op.create_check_constraint(op.f("ck_messages_job"), "messages", "(job_id IS NULL) = (seq IS NULL)")
    op.drop_column("messages", "repeats")
    op.drop_column("messages", "incident_id")
