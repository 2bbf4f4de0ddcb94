"""rota: who is on call when, and maintenance windows with the customers who were told of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)
_NOW = sa.text("now()")


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "rotas",
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", _WHEN, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_rotas")),
    )
    op.create_table(
        "rota_overrides",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("begins", _WHEN, nullable=False),
        sa.Column("ends", _WHEN, nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("replaces", sa.Text()),
        sa.Column("level", sa.Integer(), server_default="1", nullable=False),
        sa.Column("uid", sa.Text()),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("removed_at", _WHEN),
        sa.CheckConstraint("ends > begins", name=op.f("ck_rota_overrides_ends")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rota_overrides")),
    )
    op.create_index(
        "ix_rota_overrides_ends", "rota_overrides", ["ends"], postgresql_where=sa.text("removed_at IS NULL")
    )
    op.create_table(
        "maintenance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("begins", _WHEN, nullable=False),
        sa.Column("ends", _WHEN, nullable=False),
        sa.Column("lanes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("internal_reason", sa.Text(), nullable=False),
        sa.Column("drain", sa.Boolean(), nullable=False),
        sa.Column("shift_promises", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("created_at", _WHEN, server_default=_NOW, nullable=False),
        sa.Column("announced_at", _WHEN),
        sa.Column("begun_at", _WHEN),
        sa.Column("ended_at", _WHEN),
        sa.Column("shift_below", sa.Uuid()),
        sa.Column("shift_due", _WHEN),
        sa.Column("shift_id", sa.Uuid()),
        sa.Column("shifted_at", _WHEN),
        sa.Column("shift_from", sa.Uuid()),
        sa.Column("shifted", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("ends > begins", name=op.f("ck_maintenance_ends")),
        sa.CheckConstraint("cardinality(lanes) > 0", name=op.f("ck_maintenance_lanes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_maintenance")),
    )
    op.create_index("ix_maintenance_open", "maintenance", ["begins"], postgresql_where=sa.text("ended_at IS NULL"))
    op.create_table(
        "maintenance_notices",
        sa.Column("maintenance_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("told_at", _WHEN, server_default=_NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["maintenance_id"],
            ["maintenance.id"],
            name=op.f("fk_maintenance_notices_maintenance_id_maintenance"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("maintenance_id", "customer_id", name=op.f("pk_maintenance_notices")),
    )
    op.add_column("pauses", sa.Column("maintenance_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("pauses", "maintenance_id")
    for table in ("maintenance_notices", "maintenance", "rota_overrides", "rotas"):
        op.drop_table(table)
