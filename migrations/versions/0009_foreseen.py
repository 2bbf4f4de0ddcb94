"""foreseen: ends that were foreseen of a sample of jobs, and what came of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "foreseen",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("point_s", sa.Double(), nullable=False),
        sa.Column("passed_s", sa.Double()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_foreseen_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_foreseen")),
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_table("foreseen")
