"""losses: which attempts lost their worker, and whether it came back; workers say how long their leases are."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_when = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "losses",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.Text()),
        sa.Column("heard_at", _when),
        sa.Column("lost_at", _when, server_default=sa.text("now()"), nullable=False),
        sa.Column("returned_at", _when),
        sa.Column("forgiven_at", _when),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_losses_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_losses")),
    )
    op.create_index("ix_losses_worker_id", "losses", ["worker_id"], postgresql_where=sa.text("returned_at IS NULL"))
    op.add_column("workers", sa.Column("lease_s", sa.Double(), server_default="10", nullable=False))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("workers", "lease_s")
    op.drop_table("losses")
