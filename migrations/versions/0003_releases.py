"""releases: a gate instead of a lock, so that a round of the dispatcher is two statements."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Expand; contracting is a later migration of its own."""
    op.create_table(
        "release_gate",
        sa.Column("single", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("withdrawals", sa.Integer(), server_default="0", nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_release_gate_single")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_release_gate")),
    )
    op.execute("INSERT INTO release_gate DEFAULT VALUES")


def downgrade() -> None:
    """Undo it."""
    op.drop_table("release_gate")
