"""retention: finished jobs are found by kind and end; a series knows how many of its invoices were removed."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    # what succeeded at once is found by ix_jobs_similar already, so that the usual end of a job pays for nothing more
    op.create_index(
        "ix_jobs_troubled",
        "jobs",
        ["kind", "state", "finished_at", "id"],
        postgresql_where=sa.text("state IN ('dead', 'cancelled') OR (state = 'succeeded' AND failures > 0)"),
    )
    op.add_column("number_series", sa.Column("removed", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Undo it."""
    op.drop_column("number_series", "removed")
    op.drop_index("ix_jobs_troubled", table_name="jobs")
