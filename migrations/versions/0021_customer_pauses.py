"""customer pauses: nothing of a customer starts until a time; apart from those of lanes, which older processes read."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_WHEN = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "customer_pauses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("since", _WHEN, server_default=sa.text("now()"), nullable=False),
        sa.Column("until", _WHEN, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("ended_at", _WHEN),
        sa.CheckConstraint("until > since", name=op.f("ck_customer_pauses_until")),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customers.id"], name=op.f("fk_customer_pauses_customer_id_customers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_pauses")),
    )
    op.create_index(
        "ix_customer_pauses_customer_id",
        "customer_pauses",
        ["customer_id"],
        unique=True,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_customer_pauses_customer_id_since", "customer_pauses", ["customer_id", "since"])


def downgrade() -> None:
    """Undo it."""
    op.drop_table("customer_pauses")
