"""notices: which customers were told of which incident, of what, and when they hear of it next."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "incident_notices",
        sa.Column("incident_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("since", _WHEN, nullable=False),
        sa.Column("lanes", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("first_job", sa.Uuid()),
        sa.Column("job_ids", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("seq", sa.Integer(), server_default="1", nullable=False),
        sa.Column("told_at", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("estimate", _WHEN),
        sa.Column("next_update_by", _WHEN, nullable=False),
        sa.Column("earlier_ids", sa.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("ended_at", _WHEN),
        sa.ForeignKeyConstraint(
            ["incident_id"],
            ["incidents.id"],
            name=op.f("fk_incident_notices_incident_id_incidents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("incident_id", "customer_id", name=op.f("pk_incident_notices")),
    )
    op.create_index(
        "ix_incident_notices_open", "incident_notices", ["incident_id"], postgresql_where=sa.text("ended_at IS NULL")
    )


def downgrade() -> None:
    """Undo it."""
    op.execute("DELETE FROM messages WHERE incident_id IS NOT NULL AND customer_id IS NOT NULL")
    op.drop_table("incident_notices")
